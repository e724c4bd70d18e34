"""The loop: keys are woken by watches and by resyncs, and each is brought one step nearer to what it should be."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from skipjack_operator import metrics
from skipjack_operator.catalogue import Shelf
from skipjack_operator.client import FINE_TUNE_JOBS, Conflict, Kube, KubeError
from skipjack_operator.decide import decide
from skipjack_operator.decide.ends import has_ended
from skipjack_operator.events import Events
from skipjack_operator.manifests import PodEnvironment
from skipjack_operator.progress import Store

from .announce import announce
from .census import Census
from .observe import Key, observe
from .perform import Stale, perform
from .queue import Queue

logger = logging.getLogger(__name__)


class Reconciler:
    """Holds nothing that it can't read again."""

    def __init__(
        self, kube: Kube, namespaces: tuple[str, ...], pods: PodEnvironment, events: Events, store: Store
    ) -> None:
        self._kube, self._namespaces, self._pods, self._events, self._store = kube, namespaces, pods, events, store
        self._queue, self._census, self._shelf = Queue(), Census(), Shelf(kube)

    async def reconcile(self, key: Key) -> None:
        """One look at one job, and what follows from it. Raises KubeError, Stale."""
        seen = await observe(self._kube, self._shelf, key, self._pods)
        if seen is None:
            return
        decision, change = await perform(self._kube, seen, decide(seen))
        await announce(self._events, seen, change)
        if decision.look_again_seconds is not None:
            self._queue.add_later(key, decision.look_again_seconds)

    async def work(self) -> None:
        """Takes keys for ever; one that goes wrong comes again, ever later."""
        while True:
            key = await self._queue.take()
            started = time.monotonic()
            try:
                await self.reconcile(key)
            except (Conflict, Stale) as error:
                logger.info("%s/%s changed meanwhile: %s", *key, error)
                metrics.RECONCILE_TOTAL.labels("stale").inc()
                await self._queue.failed(key)
            except Exception as error:
                logger.log(
                    logging.WARNING if isinstance(error, KubeError) else logging.ERROR,
                    "%s/%s: %s", *key, error, exc_info=not isinstance(error, KubeError),
                )  # fmt: skip
                metrics.RECONCILE_TOTAL.labels("error").inc()
                metrics.RECONCILE_ERRORS_TOTAL.labels(type(error).__name__).inc()
                await self._queue.failed(key)
            else:
                metrics.RECONCILE_TOTAL.labels("ok").inc()
                await self._queue.done(key)
            finally:
                metrics.RECONCILE_DURATION_SECONDS.observe(time.monotonic() - started)
                metrics.WORKQUEUE_WORK_DURATION_SECONDS.observe(time.monotonic() - started)

    async def everything(self) -> None:
        """Wakes every job that has not ended: events can be lost, and this finds what they would have told."""
        jobs = [
            job for namespace in self._namespaces or (None,) for job in await self._kube.list(FINE_TUNE_JOBS, namespace)
        ]
        self._census.recount(jobs)
        for job in jobs:
            if not has_ended(job):
                await self._queue.add(key_of(job))

    async def job(self, body: Mapping[str, Any], deleted: bool) -> None:
        """A watch saw a FineTuneJob."""
        uid = body["metadata"]["uid"]
        if deleted:
            self._census.gone(uid)
            self._store.forget(uid)
            return
        self._census.saw(body)
        judged = (body.get("status") or {}).get("observedGeneration") == body["metadata"].get("generation")
        if judged and has_ended(body):
            # Our own last write comes back: there is nothing left to do.
            self._store.forget(uid)
            return
        await self._queue.add(key_of(body))

    async def child(self, namespace: str, job: str) -> None:
        """A watch saw a Job or a pod of a FineTuneJob."""
        await self._queue.add((namespace, job))

    async def catalogue(self) -> None:
        """A watch saw that a NodeType or a BaseModel changed."""
        self._shelf.changed()
        await self.everything()


def key_of(job: Mapping[str, Any]) -> Key:
    metadata: Mapping[str, str] = job["metadata"]
    return metadata["namespace"], metadata["name"]
