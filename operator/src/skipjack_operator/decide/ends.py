"""How an attempt ended, told from its Job and its pods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from skipjack.protocol import ExitCode, FailureReason, Result

from .types import Object

INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True, slots=True)
class End:
    """Why an attempt failed."""

    reason: FailureReason
    message: str
    exit_code: int | None = None
    pod: str | None = None
    node: str | None = None

    def as_status(self) -> dict[str, Any]:
        told = {
            "reason": self.reason.value,
            "message": self.message,
            "exitCode": self.exit_code,
            "pod": self.pod,
            "node": self.node,
        }
        return {key: value for key, value in told.items() if value is not None}


def has_condition(of: Object, *kinds: str) -> Object | None:
    """The first of these conditions that is true of the object."""
    conditions = (of.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] in kinds and c["status"] == "True"), None)


def has_ended(job: Object) -> bool:
    """Whether the FineTuneJob is Complete or Failed: nothing changes that any more."""
    return has_condition(job, "Complete", "Failed") is not None


def succeeded(job: Object) -> bool:
    return has_condition(job, "Complete", "SuccessCriteriaMet") is not None


def is_over(job: Object) -> bool:
    """Whether nothing more can come of the Job."""
    return succeeded(job) or failed_at(job) is not None


def failed_at(job: Object) -> datetime | None:
    """When the Job was given up: FailureTarget comes first, Failed waits for pods that can't be reached."""
    condition = has_condition(job, "FailureTarget", "Failed")
    return datetime.fromisoformat(condition["lastTransitionTime"]) if condition else None


def result_of(pods: Iterable[Object]) -> Result | None:
    """The last word of the pod with index 0."""
    for pod in pods:
        ended = _terminated(pod)
        if pod["metadata"].get("annotations", {}).get(INDEX, "0") == "0" and ended:
            return _parsed(ended.get("message", ""))
    return None


def why(pods: Iterable[Object], job: Object) -> End:
    """The cause of a failed attempt: of all that its pods say, what is least likely another pod's doing."""
    ends = [end for pod in pods if (end := _end_of(pod)) is not None]
    if not ends:
        condition = has_condition(job, "FailureTarget", "Failed") or {}
        return End(
            FailureReason.DISRUPTED,
            f"its pods are gone ({condition.get('reason', 'no reason told')}): the next attempt goes on from the last checkpoint.",
        )
    return min(ends, key=lambda end: end[0])[1]


OWN_WORD, TAKEN_AWAY, UNKNOWN, ENDED_WITH_THE_GANG, MISSED_A_PEER = range(5)
"""How much a pod's end tells of the cause, the most first. When one pod of a gang fails, Kubernetes ends the rest, and those
that it ends too late for a checkpoint look as if they had been killed."""


def _end_of(pod: Object) -> tuple[int, End] | None:
    """How a pod ended, and how much that tells; None when it didn't fail."""
    name, node = pod["metadata"]["name"], (pod.get("spec") or {}).get("nodeName")
    status = pod.get("status") or {}
    ended = _terminated(pod)
    code = ended.get("exitCode") if ended else None
    if code == ExitCode.OK:
        return None

    def end(rank: int, reason: FailureReason, message: str) -> tuple[int, End]:
        return rank, End(reason, message, code, name, node)

    disruption = has_condition(pod, "DisruptionTarget")
    if disruption:
        told = disruption.get("message") or disruption.get("reason")
        return end(TAKEN_AWAY, FailureReason.DISRUPTED, f"the cluster took the pod away: {told}")
    if ended is None:
        if status.get("phase") != "Failed":
            return None
        told = status.get("message") or status.get("reason") or "the pod failed before its trainer began"
        return end(TAKEN_AWAY, FailureReason.DISRUPTED, told)
    if ended.get("reason") == "OOMKilled":
        limit = pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
        return end(
            OWN_WORD,
            FailureReason.OUT_OF_MEMORY,
            f"the trainer needed more than its {limit} of memory: take a nodeType with more, or a smaller maxLength or compute.microBatchTokens.",
        )
    if ended.get("reason") == "ContainerStatusUnknown":
        return end(TAKEN_AWAY, FailureReason.DISRUPTED, "its node restarted, or lost sight of the pod")
    said = _parsed(ended.get("message", ""))
    if said and said.reason:
        return end(_RANKS.get(said.reason, OWN_WORD), said.reason, said.message or f"the trainer ended with {code}")
    if code in (137, 143) and pod["metadata"].get("deletionTimestamp"):
        return end(ENDED_WITH_THE_GANG, FailureReason.DISRUPTED, "the pod was deleted")
    if code in (137, 143):
        return end(
            UNKNOWN,
            FailureReason.TRAINER_ERROR,
            f"the trainer was killed (exit code {code}), by neither its memory limit nor the cluster: see its log and its node's.",
        )
    reason = ExitCode(code).reason if code in set(ExitCode) else FailureReason.TRAINER_ERROR
    last = ended.get("message", "").strip()[-1000:] or "see its log"
    return end(_RANKS.get(reason, OWN_WORD), reason, f"the trainer ended with {code}: {last}")


_RANKS = {
    FailureReason.TRAINER_ERROR: UNKNOWN,
    FailureReason.INTERRUPTED: ENDED_WITH_THE_GANG,
    FailureReason.PEER_LOST: MISSED_A_PEER,
}


def _terminated(pod: Object) -> dict[str, Any] | None:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    state = statuses[0].get("state") or {} if statuses else {}
    ended: dict[str, Any] | None = state.get("terminated")
    return ended


def _parsed(message: str) -> Result | None:
    try:
        return Result.model_validate_json(message)
    except ValidationError:
        return None
