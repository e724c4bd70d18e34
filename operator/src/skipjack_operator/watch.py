"""kopf watches; all that its handlers do is to wake a key. Events are hints: what is so, is read again."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

import kopf

from skipjack.protocol import GROUP, JOB_LABEL

RELIST_SECONDS = 300


class Wakes(Protocol):
    """Who is told of what the watches see."""

    async def job(self, body: Mapping[str, Any], deleted: bool) -> None: ...

    async def child(self, namespace: str, job: str) -> None: ...

    async def catalogue(self) -> None: ...


def registry(wakes: Wakes) -> kopf.OperatorRegistry:
    """Handlers for jobs, their children, and the catalogues."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    def login(**told: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**told) or kopf.login_with_kubeconfig(**told)

    @kopf.on.event(f"{GROUP}/v1alpha1", "finetunejobs", registry=handlers)
    async def on_job(type: str | None, body: kopf.Body, **_: Any) -> None:
        await wakes.job(body, type == "DELETED")

    @kopf.on.event("batch/v1", "jobs", labels={JOB_LABEL: kopf.PRESENT}, registry=handlers)
    @kopf.on.event("v1", "pods", labels={JOB_LABEL: kopf.PRESENT}, registry=handlers)
    async def on_child(namespace: str | None, labels: Any, **_: Any) -> None:
        await wakes.child(str(namespace), labels[JOB_LABEL])

    @kopf.on.event(f"{GROUP}/v1alpha1", "nodetypes", registry=handlers)
    @kopf.on.event(f"{GROUP}/v1alpha1", "basemodels", registry=handlers)
    async def on_catalogue(type: str | None, **_: Any) -> None:
        # None: what is listed when the watch begins is no news.
        if type is not None:
            await wakes.catalogue()

    return handlers


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


async def watch(wakes: Wakes, namespaces: tuple[str, ...], stop: asyncio.Event) -> None:
    """Watches until `stop`; ends by itself only when it can't go on, and then the process shall end too."""
    await kopf.operator(
        registry=registry(wakes),
        settings=settings(),
        standalone=True,
        # Unused without peering, but kopf would ask the system for a user's name, which a container's user has not.
        identity=cast(Any, "skipjack"),
        clusterwide=not namespaces,
        namespaces=namespaces,
        stop_flag=stop,
    )
