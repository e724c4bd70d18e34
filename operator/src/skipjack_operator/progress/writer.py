"""From memory to `status.progress`: rarely, at once on milestones, and never to another job of the same name."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from skipjack.api.v1alpha1.status import ProgressStatus
from skipjack.protocol import Sample
from skipjack_operator import metrics
from skipjack_operator.client import FINE_TUNE_JOBS, Conflict, Invalid, Kube, KubeError, NotFound, Object, Unavailable
from skipjack_operator.decide.ends import has_ended

from .decided import merged
from .store import Known, Store
from .token import Reporter

logger = logging.getLogger(__name__)

MANAGER = "skipjack-progress"
"""In managedFields and in audit logs progress is told apart from what the reconciler writes."""

INTERVAL_SECONDS = 15.0
MILESTONE_SECONDS = 1.0
"""Milestones wait for each other so long: a trainer that sends nothing else must not flood the API server."""
WRITES_AT_ONCE = 4
DATA_ATTEMPTS = 5


class Writer:
    """Writes the newest state of each job when it is due. What came between two writes is not written."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        interval_seconds: float = INTERVAL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._store = store
        self._interval = interval_seconds
        self._clock = clock
        self._due: dict[str, float] = {}
        self._wrote: dict[str, float] = {}
        self._wake = asyncio.Event()

    def soon(self, uid: str) -> None:
        """The job has news: write within the interval."""
        if uid not in self._due:
            self._schedule(uid, self._interval)

    def at_once(self, uid: str) -> None:
        """The job has news that somebody waits for."""
        self._schedule(uid, min(MILESTONE_SECONDS, self._interval))

    async def run(self) -> None:
        """Write for ever; one failed write never ends it."""
        while True:
            now = self._clock()
            due = sorted((at, uid) for uid, at in self._due.items() if at <= now)[:WRITES_AT_ONCE]
            if due:
                await asyncio.gather(*(self._write(uid) for _, uid in due))
                continue
            self._wake.clear()
            next_due = min(self._due.values(), default=now + self._interval)
            try:
                async with asyncio.timeout(next_due - now):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def write_data(self, reporter: Reporter, sample: Sample) -> None:
        """Store what the data decided (`resolved`, `facts`) before the post is answered: it is sent only once.

        Raises KubeError when it isn't stored: the trainer then sends it again.
        """
        for _ in range(DATA_ATTEMPTS):
            job = await self._kube.get(FINE_TUNE_JOBS, reporter.namespace, reporter.job)
            if job is None or job["metadata"]["uid"] != reporter.uid:
                self._drop(reporter.uid)
                raise NotFound(404, f"finetunejob {reporter.namespace}/{reporter.job} is gone")
            change = {"resourceVersion": job["metadata"]["resourceVersion"]}
            body = {"metadata": change, "status": merged(job.get("status") or {}, sample)}
            try:
                await self._kube.patch_status(FINE_TUNE_JOBS, reporter.namespace, reporter.job, body, MANAGER)
                return
            except Conflict:
                continue
        raise Unavailable(0, f"finetunejob {reporter.namespace}/{reporter.job} changes too fast to be written")

    def _schedule(self, uid: str, apart_seconds: float) -> None:
        at = max(self._clock(), self._wrote.get(uid, float("-inf")) + apart_seconds)
        self._due[uid] = min(at, self._due.get(uid, at))
        self._wake.set()

    async def _write(self, uid: str) -> None:
        self._due.pop(uid, None)
        self._wrote[uid] = self._clock()
        known = self._store.latest(uid)
        if known is None:
            self._wrote.pop(uid, None)
            return
        where = f"{known.reporter.namespace}/{known.reporter.job}"
        try:
            job = await self._patch(known)
        except NotFound:
            self._drop(uid)
        except Invalid as error:
            await self._explain(known, error)
        except KubeError as error:
            metrics.PROGRESS_WRITES_TOTAL.labels("failed").inc()
            logger.warning("progress of %s not written yet: %s", where, error)
            self.soon(uid)
        else:
            metrics.PROGRESS_WRITES_TOTAL.labels("written").inc()
            self._heed(uid, job)

    async def _patch(self, known: Known) -> Object:
        steps: list[Object] = [
            {"op": "test", "path": "/metadata/uid", "value": known.reporter.uid},
            {"op": "add", "path": "/status/progress", "value": as_status(known.shown)},
        ]
        return await self._kube.json_patch_status(
            FINE_TUNE_JOBS, known.reporter.namespace, known.reporter.job, steps, MANAGER
        )

    async def _explain(self, known: Known, error: Invalid) -> None:
        """A refused patch is a job of the same name with another uid, or a fault of ours."""
        metrics.PROGRESS_WRITES_TOTAL.labels("refused").inc()
        reporter = known.reporter
        try:
            job = await self._kube.get(FINE_TUNE_JOBS, reporter.namespace, reporter.job)
        except KubeError as unknown:
            logger.warning("progress of %s/%s not written: %s", reporter.namespace, reporter.job, unknown)
            return
        if job is None or job["metadata"]["uid"] != reporter.uid:
            self._drop(reporter.uid)
        else:
            logger.error("progress of %s/%s refused: %s", reporter.namespace, reporter.job, error)

    def _heed(self, uid: str, job: Object) -> None:
        """The answer to a write is the whole job: it may ask to stop, or have ended."""
        if is_over(job):
            self._drop(uid)
        elif wants_finish(job):
            self._store.stop(uid)

    def _drop(self, uid: str) -> None:
        self._store.forget(uid)
        self._due.pop(uid, None)
        self._wrote.pop(uid, None)


def as_status(shown: ProgressStatus) -> dict[str, Any]:
    """As JSON of the API, without what is unknown."""
    return shown.model_dump(mode="json", by_alias=True, exclude_none=True)


def is_over(job: Object) -> bool:
    """Whether the FineTuneJob is Complete, Failed or being deleted."""
    return has_ended(job) or bool(job["metadata"].get("deletionTimestamp"))


def wants_finish(job: Object) -> bool:
    return bool((job.get("spec") or {}).get("stop") == "Finish")
