"""A decision as a status: conditions keep their time until they change, and one word sums it up."""

from __future__ import annotations

from typing import Any

from skipjack.api.v1alpha1.status import ConditionType

from .types import Decision, Observed, Told

MESSAGE_MAX = 8000
TOLD_WHEN_FALSE = (ConditionType.ACCEPTED, ConditionType.DATA_READY, ConditionType.RUNNING)
"""The others say nothing until they hold."""


def next_status(seen: Observed, decision: Decision) -> dict[str, Any]:
    """The fields of the status that shall change, as a merge patch; empty when it says all of that already."""
    if not decision.conditions and not decision.status:
        return {}
    generation = seen.job["metadata"].get("generation", 1)
    old = {condition["type"]: condition for condition in seen.status.get("conditions") or []}
    new = dict(old)
    for kind, told in decision.conditions.items():
        if told.status or kind in old or kind in TOLD_WHEN_FALSE:
            new[kind.value] = _condition(
                old.get(kind.value), kind, told, generation, seen.now.strftime("%Y-%m-%dT%H:%M:%SZ")
            )
    fields = {
        "conditions": list(new.values()),
        "observedGeneration": generation,
        "state": _state(new),
        **decision.status,
    }
    return {key: value for key, value in fields.items() if seen.status.get(key) != value}


def _condition(
    old: dict[str, Any] | None, kind: ConditionType, told: Told, generation: int, now: str
) -> dict[str, Any]:
    status = "True" if told.status else "False"
    since = old["lastTransitionTime"] if old and old["status"] == status else now
    return {
        "type": kind.value,
        "status": status,
        "reason": told.reason,
        "message": told.message[:MESSAGE_MAX],
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }


def _state(conditions: dict[str, dict[str, Any]]) -> str:
    def holds(kind: ConditionType) -> bool:
        return bool(conditions.get(kind.value, {}).get("status") == "True")

    for kind in (ConditionType.COMPLETE, ConditionType.FAILED, ConditionType.SUSPENDED, ConditionType.RUNNING):
        if holds(kind):
            return kind.value
    if conditions.get(ConditionType.ACCEPTED.value, {}).get("status") == "False":
        return "Refused"
    return "Pending"
