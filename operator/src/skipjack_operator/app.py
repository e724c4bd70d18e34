"""The operator, put together: everybody serves and is Ready, the leader alone watches, decides and writes."""

from __future__ import annotations

import asyncio
import logging
import signal
import time

from skipjack_operator import catalogue, metrics
from skipjack_operator.client import FINE_TUNE_JOBS, Conflict, Kube, KubeError
from skipjack_operator.decide import decide
from skipjack_operator.events import Events
from skipjack_operator.leader import Leader
from skipjack_operator.progress import ProgressAPI, Reviewer, Store, Writer
from skipjack_operator.server import HEALTH_PORT, PROGRESS_PORT, Health, serve

from .observe import Key, observe
from .perform import Stale, perform
from .queue import Queue
from .settings import Settings
from .watch import watch

logger = logging.getLogger(__name__)

LEASE = "skipjack-operator"
WORKERS = 8
RESYNC_SECONDS = 300.0
BEAT_SECONDS = 10.0


class Operator:
    """What one replica is made of."""

    def __init__(self, kube: Kube, settings: Settings) -> None:
        self.kube, self.settings = kube, settings
        self.queue, self.events = Queue(), Events(kube, settings.pod_name)
        self.health = Health(kube)
        self.store = Store()
        self.writer = Writer(kube, self.store)
        self.leader = Leader(kube, settings.namespace, LEASE, pod_name=settings.pod_name)
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
        await catalogue.seed(self.kube, events=self.events)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.leader.keep())
            group.create_task(self.writer.run())
            group.create_task(self.beat())
            group.create_task(self.resync())
            group.create_task(watch(self.queue, self.everything, self.settings.watch_namespaces, self.stop))
            for _ in range(WORKERS):
                group.create_task(self.work())

    async def beat(self) -> None:
        while True:
            self.health.beat()
            await asyncio.sleep(BEAT_SECONDS)

    async def resync(self) -> None:
        """Events can be lost; this finds what they would have told."""
        while True:
            await asyncio.sleep(RESYNC_SECONDS)
            await self.everything()

    async def everything(self) -> None:
        """Wakes every job that has not ended."""
        for namespace in self.settings.watch_namespaces or (None,):
            for job in await self.kube.list(FINE_TUNE_JOBS, namespace):
                await self.queue.add((job["metadata"]["namespace"], job["metadata"]["name"]))

    async def work(self) -> None:
        while True:
            key = await self.queue.take()
            started = time.monotonic()
            try:
                await self.reconcile(key)
            except (Conflict, Stale) as error:
                logger.info("%s/%s changed meanwhile: %s", *key, error)
                metrics.RECONCILE_TOTAL.labels("stale").inc()
                await self.queue.failed(key)
            except KubeError as error:
                logger.warning("%s/%s: %s", *key, error)
                metrics.RECONCILE_TOTAL.labels("error").inc()
                metrics.RECONCILE_ERRORS_TOTAL.labels(type(error).__name__).inc()
                await self.queue.failed(key)
            except Exception as error:
                logger.exception("%s/%s", *key)
                metrics.RECONCILE_TOTAL.labels("error").inc()
                metrics.RECONCILE_ERRORS_TOTAL.labels(type(error).__name__).inc()
                await self.queue.failed(key)
            else:
                metrics.RECONCILE_TOTAL.labels("ok").inc()
                await self.queue.done(key)
            finally:
                metrics.RECONCILE_DURATION_SECONDS.observe(time.monotonic() - started)
                metrics.WORKQUEUE_WORK_DURATION_SECONDS.observe(time.monotonic() - started)

    async def reconcile(self, key: Key) -> None:
        seen = await observe(self.kube, key, self.settings.pods)
        if seen is None:
            return
        decision = await perform(self.kube, self.events, seen, decide(seen))
        if decision.look_again_seconds is not None:
            self.queue.add_later(key, decision.look_again_seconds)


async def main(settings: Settings) -> None:
    async with Kube.connect() as kube:
        await Operator(kube, settings).run()
