"""A namespace of its own on the real API server, and the client under test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.config import load_kube_config
from tests.cluster import Cluster
from tests.support.kubectl import Kubectl

from skipjack.protocol import ATTEMPT_LABEL, TOKEN_AUDIENCE
from skipjack_operator.client import FINE_TUNE_JOBS, JOBS, NAMESPACES, Kube, Object, Pace


@dataclass(frozen=True, slots=True)
class Live:
    cluster: Cluster
    kube: Kube
    kubectl: Kubectl
    namespace: str

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Kube]:
        """A second connection, as another replica has one."""
        async with Kube.connect(await configuration(self.cluster), Pace()) as kube:
            yield kube

    async def job(self, name: str = "bot", **spec: Any) -> Object:
        """A FineTuneJob that nobody reconciles, with a status."""
        small = {"model": "hf://org/m", "dataset": {"train": [{"uri": "configmap://d/t.jsonl"}]}}
        body = {
            "apiVersion": FINE_TUNE_JOBS.api_version,
            "kind": "FineTuneJob",
            "metadata": {"name": name},
            "spec": small | {"output": {"uri": "pvc://m/r"}, "managedBy": "example.com/nobody"} | spec,
        }
        await self.kube.create(FINE_TUNE_JOBS, self.namespace, body)
        return await self.kube.patch_status(FINE_TUNE_JOBS, self.namespace, name, {"status": {"state": "Running"}})

    async def attempt(self, owner: Object | None, name: str = "bot-1") -> Object:
        """An Indexed Job of two pods that no node takes: real pods of the real Job controller, without an image."""
        template = {
            "metadata": {"labels": {"app": name}},
            "spec": {
                "restartPolicy": "Never",
                "serviceAccountName": "default",
                "nodeSelector": {"skipjack.dev/no-such-node": "true"},
                "containers": [{"name": "c", "image": "none"}],
            },
        }
        spec = {
            "completionMode": "Indexed",
            "completions": 2,
            "parallelism": 2,
            "backoffLimit": 0,
            "template": template,
        }
        metadata: dict[str, Any] = {"name": name, "labels": {ATTEMPT_LABEL: "1"}}
        if owner is not None:
            reference = {"kind": "FineTuneJob", "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
            reference |= {"apiVersion": FINE_TUNE_JOBS.api_version, "controller": True}
            metadata["ownerReferences"] = [reference]
        body = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec | {"template": template}}
        return await self.kube.create(JOBS, self.namespace, body)

    def token(self, pod: str, audience: str = TOKEN_AUDIENCE) -> str:
        """The token that the kubelet would project into that pod."""
        bound = ["--bound-object-kind", "Pod", "--bound-object-name", pod]
        return self.kubectl("create", "token", "default", "--audience", audience, *bound).strip()


async def configuration(cluster: Cluster) -> Configuration:
    found = Configuration()
    await load_kube_config(config_file=str(cluster.kubeconfig), client_configuration=found)
    return found


@asynccontextmanager
async def on_the_cluster() -> AsyncIterator[Live]:
    """Needs a running cluster."""
    cluster = Cluster.current()
    namespace = f"edges-{uuid.uuid4().hex[:8]}"
    kubectl = Kubectl.of(cluster, namespace)
    async with Kube.connect(await configuration(cluster)) as kube:
        kubectl("create", "namespace", namespace)
        try:
            yield Live(cluster, kube, kubectl, namespace)
        finally:
            await kube.delete(NAMESPACES, None, namespace, await _uid(kube, namespace))


async def _uid(kube: Kube, namespace: str) -> str:
    found = await kube.get(NAMESPACES, None, namespace)
    return str(found["metadata"]["uid"]) if found else ""
