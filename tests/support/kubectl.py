"""kubectl as a person would type it. Standard library alone."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.cluster import Cluster


class CommandFailed(Exception):
    """A command ended badly; says which and what it wrote."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl in one namespace."""

    binary: str
    kubeconfig: str
    namespace: str

    @classmethod
    def of(cls, cluster: Cluster, namespace: str) -> Kubectl:
        return cls(str(cluster.kubectl), str(cluster.kubeconfig), namespace)

    def __call__(self, *arguments: str, stdin: str | None = None, timeout_seconds: float = 120) -> str:
        """What the command wrote. Raises CommandFailed."""
        command = [self.binary, "--kubeconfig", self.kubeconfig, "--namespace", self.namespace, *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=timeout_seconds, check=False
        )
        if done.returncode:
            raise CommandFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def apply(self, manifest: dict[str, Any]) -> None:
        self("apply", "-f", "-", stdin=json.dumps(manifest))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("get", kind, name, "-o", "json"))
        return found

    def list(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self("get", kind, "-l", selector, "-o", "json"))["items"]
        return items

    def until(
        self, kind: str, name: str, holds: Callable[[dict[str, Any]], bool], timeout_seconds: float = 300
    ) -> dict[str, Any]:
        """The object as soon as `holds` is true of it. Raises CommandFailed with the object's status after the time-out."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            seen = self.get(kind, name)
            if holds(seen):
                return seen
            if time.monotonic() > deadline:
                raise CommandFailed(
                    f"{kind}/{name} not as expected after {timeout_seconds:.0f} s: {json.dumps(seen.get('status'), indent=1)}"
                )
            time.sleep(0.5)


def condition(seen: dict[str, Any], kind: str) -> dict[str, Any]:
    """The condition of that type, or an empty one."""
    return next((c for c in seen.get("status", {}).get("conditions", []) if c["type"] == kind), {})


def is_true(kind: str) -> Callable[[dict[str, Any]], bool]:
    return lambda seen: condition(seen, kind).get("status") == "True"


@contextmanager
def a_namespace(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own, where Pod Security `restricted` is enforced."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    made = Kubectl.of(cluster, namespace)
    made("create", "namespace", namespace)
    made("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    yield made
    made("delete", "namespace", namespace, "--wait=false")
