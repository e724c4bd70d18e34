"""The operator, put together: everybody serves and is Ready, the leader alone watches, decides and writes."""

from __future__ import annotations

import asyncio
import signal

from skipjack import __version__
from skipjack_operator import catalogue, metrics
from skipjack_operator.client import Kube
from skipjack_operator.events import Events
from skipjack_operator.leader import Leader
from skipjack_operator.progress import ProgressAPI, Reviewer, Store, Writer
from skipjack_operator.server import HEALTH_PORT, PROGRESS_PORT, Health, serve

from .reconcile import Reconciler
from .settings import Settings
from .watch import watch

LEASE = "skipjack-operator"
WORKERS = 8
RESYNC_SECONDS = 300.0
BEAT_SECONDS = 10.0


class Operator:
    """What one replica is made of."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self.kube, self.settings = kube, settings
        self.health = Health(kube)
        self.store = Store()
        self.writer = Writer(kube, self.store)
        self.leader = Leader(kube, settings.namespace, LEASE, pod_name=settings.pod_name)
        events = Events(kube, settings.pod_name)
        self.reconciler = Reconciler(kube, settings.watch_namespaces, settings.pods, events, self.store)
        self.stop = asyncio.Event()

    async def run(self) -> None:
        """Serves, waits to lead, leads until told to stop. Raises when it can't go on: to be started again is the cure."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        api = ProgressAPI(self.kube, Reviewer(self.kube), self.store, self.writer, lambda: self.leader.is_leading)
        async with serve(api.app(), PROGRESS_PORT), serve(self.health.app(), HEALTH_PORT):
            asked = asyncio.create_task(self.stop.wait())
            leading = asyncio.create_task(self.lead())
            lag = asyncio.create_task(metrics.measure_event_loop_lag())
            await asyncio.wait((asked, leading), return_when=asyncio.FIRST_COMPLETED)
            for task in (asked, lag, leading):
                task.cancel()
            ended = await asyncio.gather(asked, lag, leading, return_exceptions=True)
            await self.leader.release()
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def lead(self) -> None:
        await self.leader.acquire()
        await catalogue.seed(self.kube)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.leader.keep())
            group.create_task(self.writer.run())
            group.create_task(self.beat())
            group.create_task(self.resync())
            group.create_task(watch(self.reconciler, self.settings.watch_namespaces))
            for _ in range(WORKERS):
                group.create_task(self.reconciler.work())

    async def beat(self) -> None:
        while True:
            self.health.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            await self.reconciler.everything()


async def main(settings: Settings) -> None:
    metrics.BUILD_INFO.labels(__version__).set(1)
    async with Kube.connect() as kube:
        await Operator(kube, settings).run()
