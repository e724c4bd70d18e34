"""oci://REGISTRY/REPOSITORY[:TAG][@DIGEST][/PATH]: an artifact of a container registry, laid out as ORAS has it: each file is a layer that
is titled with its path. What is stored appears as one, by the manifest, which comes last."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.uris import COMPONENT, DIGEST, REGISTRY, TAG

from ..digests import digest
from ..errors import ConfigurationInvalid, DataInvalid, DataNotFound, StorageFailed
from .base import Access, Entry, Located, is_at, place_in
from .login import login_of
from .patience import Patience
from .registry import MANIFEST, Registry

ARTIFACT = "application/vnd.skipjack.result.v1"
FILE = "application/octet-stream"
TITLE = "org.opencontainers.image.title"
PACKED = "io.deis.oras.content.unpack"
"""ORAS's mark of a folder that was pushed as one packed file."""
NO_CONFIG: dict[str, Any] = {
    "mediaType": "application/vnd.oci.empty.v1+json",
    "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}",
    "size": 2,
}
"""The specification's empty descriptor."""
DOCKER_HUB = "registry-1.docker.io"
DEFAULT_TAG = "latest"
REFERENCE = re.compile(
    rf"oci://(?P<host>{REGISTRY})/(?P<repository>{COMPONENT}(/{COMPONENT})*)(:(?P<tag>{TAG}))?(@(?P<digest>{DIGEST}))?(/(?P<path>.*))?"
)

Layer = dict[str, Any]


class Artifact:
    """The files of one artifact, by its tag or for ever by its digest."""

    def __init__(self, registry: Registry, tag: str, digest: str | None) -> None:
        self.registry, self.tag = registry, tag
        self.reference = digest or tag
        self.title = f"{registry.title}{'@' if digest else ':'}{self.reference}"
        self.found: tuple[str, bytes] | None = None
        """(digest, manifest) as they were first read: what is read is of one artifact, whatever its tag names meanwhile."""
        self.is_read = False

    def list(self, prefix: str = "") -> list[Entry]:
        layers = self._layers()
        return sorted(
            Entry(name, layer["size"], layer["digest"].removeprefix("sha256:"))
            for name, layer in layers.items()
            if is_at(name, prefix)
        )

    def get(self, path: str, into: Path) -> Path:
        layers = self._layers()
        if path not in layers:
            raise DataNotFound(f"{self.title}: there is no file {path!r}; there are {', '.join(layers) or 'none'}.")
        target = place_in(into, path, self.title)
        partial = target.with_name(f".{target.name}.partial")
        return self.registry.get_blob(layers[path]["digest"], partial).replace(target)

    def exists(self, path: str) -> bool:
        return any(is_at(name, path) for name in self._layers())

    def put(self, local: Path, path: str) -> None:
        self._store(self._layers() | {path: self._pushed(local, path)}, self._about())

    def delete(self, path: str) -> None:
        layers = self._layers()
        kept = {name: layer for name, layer in layers.items() if not is_at(name, path)}
        if kept and len(kept) < len(layers):
            self._store(kept, self._about())
        elif layers and not kept and (found := self._manifest()):
            self.registry.delete_manifest(found[0])
            self.is_read = False

    def replace(self, files: Mapping[str, Path], about: Mapping[str, str]) -> None:
        """By a manifest that is annotated with `about`."""
        self._store({name: self._pushed(file, name) for name, file in files.items()}, about)

    def add(self, folder: str | None, files: Mapping[str, Path]) -> None:
        """By a manifest with the annotations of the one before."""
        kept = {name: layer for name, layer in self._layers().items() if folder is None or not is_at(name, folder)}
        self._store(kept | {name: self._pushed(file, name) for name, file in files.items()}, self._about())

    def prepare(self) -> None:
        self.registry.refuse_strangers()

    def local(self, path: str) -> Path | None:
        return None

    def pinned(self, uri: str) -> str:
        """By the digest that its tag stands for now."""
        found = self._manifest()
        path = parsed(uri)["path"]
        return f"{self.registry.title}@{found[0]}{f'/{path}' if path else ''}" if found else uri

    def _pushed(self, file: Path, name: str) -> Layer:
        of_content = f"sha256:{digest(file)}"
        self.registry.put_blob(file, of_content)
        return {
            "mediaType": FILE, "digest": of_content, "size": file.stat().st_size, "annotations": {TITLE: name}
        }  # fmt: skip

    def _about(self) -> dict[str, str]:
        """What is told with the files that are there."""
        found = self._manifest()
        about: dict[str, str] = json.loads(found[1]).get("annotations", {}) if found else {}
        return about

    def _store(self, layers: Mapping[str, Layer], about: Mapping[str, str]) -> None:
        if self.reference != self.tag:
            raise ConfigurationInvalid(f"{self.title}: what a digest names never changes: name a tag.")
        before = self._manifest()
        with tempfile.TemporaryDirectory() as folder:
            empty = Path(folder) / "config.json"
            empty.write_bytes(b"{}")
            self.registry.put_blob(empty, NO_CONFIG["digest"])
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT,
            "config": NO_CONFIG,
            "layers": [layers[name] for name in sorted(layers)],
        } | ({"annotations": dict(about)} if about else {})
        now = self.registry.manifest(self.tag)
        if now != before:
            raise StorageFailed(f"{self.title} was stored by somebody else meanwhile, which is left as it is.")
        self.registry.put_manifest(self.tag, json.dumps(manifest).encode())
        self.is_read = False

    def _manifest(self) -> tuple[str, bytes] | None:
        if not self.is_read:
            self.found, self.is_read = self.registry.manifest(self.reference), True
        return self.found

    def _layers(self) -> dict[str, Layer]:
        """By the path that each is titled with; none where there is no such artifact. Raises DataInvalid where it holds no files."""
        found = self._manifest()
        if found is None:
            return {}
        layers: list[Layer] = json.loads(found[1]).get("layers", [])
        named = {layer.get("annotations", {}).get(TITLE): layer for layer in layers}
        packed = [name for name, layer in named.items() if layer.get("annotations", {}).get(PACKED) == "true"]
        if packed or None in named:
            what = (
                f"{', '.join(packed)} was pushed as a folder"
                if packed
                else "some of its layers have no title, as of an image"
            )
            raise DataInvalid(f"{self.title}: {what}: push files, one by one, by oras push.")
        return named


def parsed(uri: str) -> dict[str, str | None]:
    """host, repository, tag, digest and path of a URI. Raises ConfigurationInvalid."""
    found = REFERENCE.fullmatch(uri)
    path = found["path"] if found else None
    if found is None or (path and not (found["tag"] or found["digest"])):
        raise ConfigurationInvalid(
            f"{uri}: an artifact is named as oci://REGISTRY/REPOSITORY:TAG or oci://REGISTRY/REPOSITORY@sha256:…, files in it by /PATH behind that."
        )
    return found.groupdict()


def is_loopback(host: str) -> bool:
    """Whether HOST[:PORT] is this very machine."""
    name = host.partition(":")[0]
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def open_uri(uri: str, access: Access) -> Located:
    told = parsed(uri)
    host, path = told["host"] or "", told["path"] or ""
    scheme = "http" if is_loopback(host) or host in access.plain_registries else "https"
    url = f"{scheme}://{DOCKER_HUB if host == 'docker.io' else host}"
    registry = Registry(url, told["repository"] or "", login_of(access.secret(uri), host), Patience())
    return Located(Artifact(registry, told["tag"] or DEFAULT_TAG, told["digest"]), path)
