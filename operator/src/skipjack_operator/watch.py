"""kopf watches; all that its handlers do is to wake a key. Events are hints: what is so, is read again."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator
from typing import Any, cast

import kopf

from skipjack.protocol import GROUP, JOB_LABEL

from .queue import Queue

RELIST_SECONDS = 300


def registry(queue: Queue, everything: Any) -> kopf.OperatorRegistry:
    """Handlers for jobs, their children, and the catalogues. `everything` wakes all keys."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**told: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**told) or kopf.login_with_kubeconfig(**told)

    @kopf.on.event(f"{GROUP}/v1alpha1", "finetunejobs", registry=handlers)
    async def on_job(namespace: str | None, name: str | None, body: kopf.Body, **_: Any) -> None:
        if not _is_echo(body):
            await queue.add((str(namespace), str(name)))

    @kopf.on.event("batch/v1", "jobs", labels={JOB_LABEL: kopf.PRESENT}, registry=handlers)
    @kopf.on.event("v1", "pods", labels={JOB_LABEL: kopf.PRESENT}, registry=handlers)
    async def on_child(namespace: str | None, labels: Any, **_: Any) -> None:
        await queue.add((str(namespace), labels[JOB_LABEL]))

    @kopf.on.event(f"{GROUP}/v1alpha1", "nodetypes", registry=handlers)
    @kopf.on.event(f"{GROUP}/v1alpha1", "basemodels", registry=handlers)
    async def on_catalogue(type: str | None, **_: Any) -> None:
        if type is not None:
            await everything()

    return handlers


def _is_echo(body: kopf.Body) -> bool:
    """A job whose spec was judged already and that has ended: our own last write came back."""
    status = body.get("status") or {}
    judged = status.get("observedGeneration") == body["metadata"].get("generation")
    over = any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in status.get("conditions") or [])
    return bool(judged and over)


def settings() -> kopf.OperatorSettings:
    """No peering, no scanning, no writes; a watch that breaks is begun again for ever."""
    told = kopf.OperatorSettings()
    told.scanning.disabled = True
    told.posting.enabled = False
    told.watching.server_timeout = RELIST_SECONDS
    told.watching.client_timeout = RELIST_SECONDS + 60
    told.watching.connect_timeout = 30
    told.networking.error_backoffs = Endless()
    return told


class Endless:
    """Pauses between tries, in seconds: up to half a minute, never the same for two replicas, without end."""

    def __iter__(self) -> Iterator[float]:
        return (min(30.0, 0.5 * 2 ** min(n, 10)) * random.uniform(0.7, 1.3) for n in itertools.count())


async def watch(queue: Queue, everything: Any, namespaces: tuple[str, ...], stop: asyncio.Event) -> None:
    """Watches until `stop`; ends by itself only when it can't go on, and then the process shall end too."""
    await kopf.operator(
        registry=registry(queue, everything),
        settings=settings(),
        standalone=True,
        # Unused without peering, but kopf would ask the system for a user's name, which a container's user has not.
        identity=cast(Any, "skipjack"),
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
    )
