"""The kinds that the operator reads and writes."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote

from skipjack.protocol import GROUP


class Kind(NamedTuple):
    """A resource of the API."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Path of an object, of a namespace's collection, or of the whole collection."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = ["namespaces", namespace] if self.namespaced and namespace else []
        parts = [*scope, self.plural, name, subresource]
        return "/".join([root, *(quote(part, safe="") for part in parts if part)])


FINE_TUNE_JOBS = Kind(GROUP, "v1alpha1", "finetunejobs", namespaced=True)
NODE_TYPES = Kind(GROUP, "v1alpha1", "nodetypes", namespaced=False)
BASE_MODELS = Kind(GROUP, "v1alpha1", "basemodels", namespaced=False)
JOBS = Kind("batch", "v1", "jobs", namespaced=True)
PODS = Kind("", "v1", "pods", namespaced=True)
SERVICES = Kind("", "v1", "services", namespaced=True)
PERSISTENT_VOLUME_CLAIMS = Kind("", "v1", "persistentvolumeclaims", namespaced=True)
CONFIG_MAPS = Kind("", "v1", "configmaps", namespaced=True)
NAMESPACES = Kind("", "v1", "namespaces", namespaced=False)
EVENTS = Kind("events.k8s.io", "v1", "events", namespaced=True)
LEASES = Kind("coordination.k8s.io", "v1", "leases", namespaced=True)
TOKEN_REVIEWS = Kind("authentication.k8s.io", "v1", "tokenreviews", namespaced=False)
