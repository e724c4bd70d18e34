"""Attempts: their count, how long to wait between two, and how one begins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from skipjack.api.v1alpha1.status import ConditionType
from skipjack.protocol import CHARGED_ANNOTATION, LAST_END_ANNOTATION, UNCHARGED, FailureReason
from skipjack.resolve import ResolvedSpec
from skipjack_operator.manifests import attempt_name, job_manifest, service_manifest

from .ends import End, is_over
from .types import Decision, Object, Observed, number_of

FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
KEPT = 3
"""Ended attempts whose Jobs, and so whose logs, are kept beside the newest."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted over attempts. It rides on the newest attempt's Job: written with it in one request, so that no crash
    between two writes can lose a charge."""

    number: int = 0
    charged: int = 0
    last_end: str | None = None

    @classmethod
    def of(cls, seen: Observed) -> Tally:
        """From the newest attempt's Job; from the status where somebody deleted that."""
        if seen.attempt is not None:
            notes = seen.attempt["metadata"].get("annotations") or {}
            charged = notes.get(CHARGED_ANNOTATION, "0")
            return cls(number_of(seen.attempt), int(charged), notes.get(LAST_END_ANNOTATION))
        told = seen.status.get("attempt") or {}
        return cls(told.get("number", 0), told.get("charged", 0), told.get("lastEnd"))

    def after(self, end: End | None) -> Tally:
        """The next attempt's, when the one before it ended so."""
        if end is None:
            return replace(self, number=self.number + 1)
        return Tally(self.number + 1, self.charged + (end.reason not in UNCHARGED), end.reason.value)

    def as_annotations(self) -> dict[str, str]:
        return {CHARGED_ANNOTATION: str(self.charged)} | ({LAST_END_ANNOTATION: self.last_end} if self.last_end else {})

    def as_status(self, job_name: str, job_uid: str | None) -> dict[str, object]:
        told = {
            "number": self.number,
            "job": attempt_name(job_name, self.number),
            "jobUid": job_uid,
            "charged": self.charged,
            "lastEnd": self.last_end,
        }
        return {key: value for key, value in told.items() if value is not None}


def pause_seconds(tally: Tally, attempt: Object, failed: datetime) -> float:
    """Between the end of an attempt (`tally` is the next one's) and the next: it doubles with those that were charged.

    What the cluster did is followed at once where the attempt had lived for a while; what strikes right after the start
    may strike for ever, and is paced as well.
    """
    if tally.last_end not in UNCHARGED:
        return _doubled(tally.charged)
    lived = failed - datetime.fromisoformat(attempt["metadata"]["creationTimestamp"])
    pause = _doubled(tally.number - 1)
    return 0.0 if lived.total_seconds() > pause else pause


def _doubled(times: int) -> float:
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(times - 1, 10))


def start(seen: Observed, so_far: Decision, end: End | None) -> Decision:
    """The attempt after the one that ended so; None: the first."""
    spec, own = so_far.resolved, so_far.own
    assert spec is not None, "refuse_invalid settles it"
    assert own is not None, "refuse_invalid settles it"
    tally = Tally.of(seen).after(end)
    kind, _ = seen.catalogue.node_type(spec.compute.node_type)
    children: tuple[Object, ...] = (
        job_manifest(own, spec, kind.spec, tally.number, seen.site, tally.as_annotations()),
    )
    if spec.compute.nodes > 1:
        children = (service_manifest(spec, tally.number), *children)
    old = tuple(job for job in seen.attempts if is_over(job) and number_of(job) < tally.number - KEPT)
    told = replace(so_far, create=children, delete=old).setting(
        attempt=tally.as_status(seen.job["metadata"]["name"], None), **settled(spec)
    )
    before = f" The one before ended: {end.reason.value}." if end else ""
    return told.telling(
        ConditionType.RUNNING, False, "Starting", f"Attempt {tally.number} is being started.{before}"
    ).done()


def settled(spec: ResolvedSpec) -> dict[str, object]:
    """What the status tells of a spec that is resolved."""
    return {"resolved": [value.model_dump() for value in spec.told()], "method": spec.method.type.value}


DELETED = End(FailureReason.DISRUPTED, "its Job was deleted")
