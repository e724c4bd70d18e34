"""kopf watches; all that its handlers do is to wake a key. Events are hints: what is so, is read again."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import suppress
from typing import Any, Never, Protocol, cast

import kopf

from skipjack.protocol import GROUP, JOB_LABEL

RELIST_SECONDS = 300
END_SECONDS = 5.0


class Wakes(Protocol):
    """Who is told of what the watches see."""

    def job(self, body: Mapping[str, Any], deleted: bool) -> Coroutine[Any, Any, None]: ...

    def child(self, namespace: str, job: str) -> Coroutine[Any, Any, None]: ...

    def catalogue(self) -> Coroutine[Any, Any, None]: ...


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


class WatchEnded(Exception):
    """The watches ended by themselves: to be started again is the cure."""


async def watch(wakes: Wakes, namespaces: tuple[str, ...]) -> Never:
    """Watches until cancelled. Raises WatchEnded.

    kopf has a thread and an event loop of its own. In ours it would take SIGTERM for itself, and cancel, when it ends, every
    task that was begun after it.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    stop = threading.Event()

    def run() -> None:
        error: BaseException | None = None
        try:
            kopf.run(
                registry=registry(Across(wakes, loop)),
                settings=settings(),
                standalone=True,
                # Unused without peering, but kopf would ask the system for a user's name, which a container's user has not.
                identity=cast(Any, "skipjack"),
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
        except BaseException as raised:  # noqa: BLE001 -- whatever ended the thread is raised where it is waited for
            error = raised
        with suppress(RuntimeError):  # nobody waits any more: the operator's loop is closed
            loop.call_soon_threadsafe(_settle, ended, error)

    threading.Thread(target=run, name="kopf", daemon=True).start()
    try:
        await asyncio.shield(ended)
        raise WatchEnded("kopf's watches ended by themselves")
    finally:
        stop.set()
        # Not for ever: a daemon's thread goes with the process.
        await asyncio.wait([ended], timeout=END_SECONDS)


def _settle(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if error is None:
        ended.set_result(None)
    else:
        ended.set_exception(WatchEnded(f"kopf ended: {error!r}"))


class Across:
    """Wakes in the event loop of the operator, from that of kopf."""

    def __init__(self, wakes: Wakes, loop: asyncio.AbstractEventLoop) -> None:
        self._wakes = wakes
        self._loop = loop

    async def job(self, body: Mapping[str, Any], deleted: bool) -> None:
        await self._over(self._wakes.job(body, deleted))

    async def child(self, namespace: str, job: str) -> None:
        await self._over(self._wakes.child(namespace, job))

    async def catalogue(self) -> None:
        await self._over(self._wakes.catalogue())

    async def _over(self, woken: Coroutine[Any, Any, None]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(woken, self._loop))
