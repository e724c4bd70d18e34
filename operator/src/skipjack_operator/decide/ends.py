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


def has_condition(job: Object, *kinds: str) -> Object | None:
    """The first of these conditions that is true."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] in kinds and c["status"] == "True"), None)


def succeeded(job: Object) -> bool:
    return has_condition(job, "Complete", "SuccessCriteriaMet") is not None


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
    """The cause of a failed attempt. A pod's own word comes before what its peers suffered from it."""
    ends = [end for pod in pods if (end := _end_of(pod)) is not None]
    if not ends:
        condition = has_condition(job, "FailureTarget", "Failed") or {}
        return End(
            FailureReason.DISRUPTED,
            f"its pods are gone ({condition.get('reason', 'no reason told')}): the next attempt goes on from the last checkpoint.",
        )
    return min(ends, key=lambda end: _consequences.get(end.reason, 0))


_consequences = {FailureReason.PEER_LOST: 2, FailureReason.INTERRUPTED: 1}
"""Reasons that are often another pod's fault: they are told only when no pod has a better one."""


def _end_of(pod: Object) -> End | None:
    name, node = pod["metadata"]["name"], (pod.get("spec") or {}).get("nodeName")
    status = pod.get("status") or {}
    disrupted = next(
        (c for c in status.get("conditions") or [] if c["type"] == "DisruptionTarget" and c["status"] == "True"), None
    )
    ended = _terminated(pod)
    code = ended.get("exitCode") if ended else None
    if disrupted and code != ExitCode.OK:
        return End(
            FailureReason.DISRUPTED,
            f"the cluster took the pod away: {disrupted.get('message') or disrupted.get('reason')}",
            code,
            name,
            node,
        )
    if ended is None:
        if status.get("phase") == "Failed":
            return End(
                FailureReason.DISRUPTED,
                status.get("message") or status.get("reason") or "the pod failed before its trainer began",
                None,
                name,
                node,
            )
        return None
    if code == 0:
        return None
    if ended.get("reason") == "OOMKilled":
        limit = pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
        return End(
            FailureReason.OUT_OF_MEMORY,
            f"the trainer needed more than its {limit} of memory: take a nodeType with more, or a smaller maxLength or compute.microBatchTokens.",
            code, name, node,
        )  # fmt: skip
    said = _parsed(ended.get("message", ""))
    if said and said.reason:
        return End(said.reason, said.message, code, name, node)
    if code in (137, 143):
        return End(FailureReason.DISRUPTED, f"the pod was killed from outside (exit code {code})", code, name, node)
    reason = ExitCode(code).reason if code in set(ExitCode) else FailureReason.TRAINER_ERROR
    return End(
        reason,
        f"the trainer ended with {code}: {ended.get('message', '').strip()[-1000:] or 'see its log'}",
        code,
        name,
        node,
    )


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
