"""The two ports: progress for the trainers; metrics and probes for the cluster."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from . import metrics
from .client import Kube, KubeError

PROGRESS_PORT = 8080
HEALTH_PORT = 8081
STALE_SECONDS = 120.0
PING_SECONDS = 5.0


class Health:
    """Live: the event loop answers, and the reconcile loop, once begun, goes round. Ready: the API server is reachable.

    A standby is both: readiness that meant leading would let a rolling update wait for ever.
    """

    def __init__(
        self, kube: Kube, stale_seconds: float = STALE_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube = kube
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._beat: float | None = None
        self._pinged: float | None = None
        self._unready: str | None = None

    def beat(self) -> None:
        """The reconcile loop says that it goes round; idle or not, more often than `stale_seconds`."""
        self._beat = self._clock()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/metrics", _metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        return app

    async def _healthz(self, _: web.Request) -> web.Response:
        silent = 0.0 if self._beat is None else self._clock() - self._beat
        if silent > self._stale_seconds:
            return web.Response(status=503, text=f"the reconcile loop has been silent for {silent:.0f} s\n")
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._pinged is None or self._clock() - self._pinged > PING_SECONDS:
            self._unready = await self._ping()
            self._pinged = self._clock()
        return web.Response(status=503, text=self._unready + "\n") if self._unready else web.Response(text="ok\n")

    async def _ping(self) -> str | None:
        try:
            await self._kube.ping()
        except KubeError as error:
            return f"the API server can't be reached: {error}"
        return None


@asynccontextmanager
async def serve(app: web.Application, port: int, host: str | None = None) -> AsyncIterator[int]:
    """Serve `app` while inside; gives the port, which is a free one for port 0. `host` None: all interfaces."""
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=5.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def _metrics(_: web.Request) -> web.Response:
    return web.Response(body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})
