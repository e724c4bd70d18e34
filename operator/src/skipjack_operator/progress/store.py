"""The newest sample of each job, in memory. The next post fills it again after a restart."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from skipjack.api.v1alpha1.status import ProgressStatus
from skipjack.protocol import Sample
from skipjack_operator import metrics

from .shown import advance
from .token import Reporter

JOBS_MAX = 20_000
ENDED_MAX = 20_000


class News(Enum):
    """What a sample means to whoever follows the job."""

    STALE = auto()
    """Older than what is known: a straggler, or a post sent twice. Nothing changed."""
    ROUTINE = auto()
    MILESTONE = auto()
    """To be told at once: first sample, phase, held-out loss, checkpoint, last step."""
    RESUMED = auto()
    """The first of another pod, or of another attempt."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one job's progress."""

    reporter: Reporter
    sample: Sample
    shown: ProgressStatus


class Store:
    """Bounded: the job that has been silent longest goes first, and comes back with its next post."""

    def __init__(self, jobs_max: int = JOBS_MAX) -> None:
        self._jobs_max = jobs_max
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._stops: set[str] = set()

    def put(self, reporter: Reporter, sample: Sample, at: datetime, shown: ProgressStatus | None = None) -> News:
        """Take a sample; `shown` is what the status told before this process knew of the job."""
        known = self._known.get(reporter.uid)
        if known is not None and _order(reporter, sample) < _order(known.reporter, known.sample):
            return News.STALE
        now = Known(reporter, sample, advance(known.shown if known else shown, sample, at))
        self._known[reporter.uid] = now
        self._known.move_to_end(reporter.uid)
        while len(self._known) > self._jobs_max:
            _, oldest = self._known.popitem(last=False)
            metrics.forget_job(oldest.reporter.namespace, oldest.reporter.job)
        metrics.tell_job(reporter.namespace, reporter.job, sample)
        return _news(known, now)

    def latest(self, uid: str) -> Known | None:
        """What is known of the FineTuneJob of that uid."""
        return self._known.get(uid)

    def stop(self, uid: str) -> None:
        """Let the answer to the job's next post ask it to finish."""
        self._stops.add(uid)

    def is_stopping(self, uid: str) -> bool:
        return uid in self._stops

    def forget(self, uid: str) -> None:
        """The job ended, or was deleted: drop it and its gauges. Whatever is still posted for it is refused."""
        known = self._known.pop(uid, None)
        self._stops.discard(uid)
        self._ended[uid] = None
        while len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)
        if known is not None:
            metrics.forget_job(known.reporter.namespace, known.reporter.job)

    def forget_named(self, namespace: str, name: str) -> None:
        """A FineTuneJob of that name was deleted; its uid is not known any more."""
        gone = [uid for uid, k in self._known.items() if (k.reporter.namespace, k.reporter.job) == (namespace, name)]
        for uid in gone:
            self.forget(uid)

    def has_ended(self, uid: str) -> bool:
        return uid in self._ended


def _order(reporter: Reporter, sample: Sample) -> tuple[int, str, str, int]:
    return reporter.attempt, reporter.pod_created, reporter.pod_uid, sample.step


def _news(before: Known | None, now: Known) -> News:
    if before is None:
        return News.MILESTONE
    if before.reporter.pod_uid != now.reporter.pod_uid:
        return News.RESUMED
    old, new = before.shown, now.shown
    at_end = new.step == new.steps > 0 and old.step != new.step
    told = (old.phase, old.heldout_loss, old.checkpoint_step) != (new.phase, new.heldout_loss, new.checkpoint_step)
    return News.MILESTONE if at_end or told else News.ROUTINE
