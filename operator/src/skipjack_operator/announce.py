"""What a change of the status means to those who follow from outside: Events for people, counters for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from skipjack.api.v1alpha1.status import ConditionType
from skipjack_operator import metrics
from skipjack_operator.client import Object
from skipjack_operator.decide import Observed
from skipjack_operator.events import Events


async def announce(events: Events, seen: Observed, change: Object) -> None:
    """An Event for each condition that turned, and the counters of what happened."""
    old = {condition["type"]: condition for condition in seen.status.get("conditions") or []}
    _count_attempt(seen.status.get("attempt") or {}, change.get("attempt") or {})
    for condition in change.get("conditions", []):
        before = old.get(condition["type"], {})
        if before.get("status") == condition["status"] and before.get("reason") == condition["reason"]:
            continue
        kind, holds = condition["type"], condition["status"] == "True"
        if holds and kind in (ConditionType.COMPLETE, ConditionType.FAILED):
            metrics.JOBS_FINISHED_TOTAL.labels(kind, condition["reason"]).inc()
        if holds and kind == ConditionType.RUNNING and (seen.status.get("attempt") or {}).get("number") == 1:
            created = datetime.fromisoformat(seen.job["metadata"]["creationTimestamp"])
            metrics.TIME_TO_RUNNING_SECONDS.observe((seen.now - created).total_seconds())
        bad = kind == ConditionType.FAILED or (not holds and kind in (ConditionType.ACCEPTED, ConditionType.DATA_READY))
        await events.emit(seen.job, "Warning" if bad else "Normal", condition["reason"], condition["message"])


def _count_attempt(before: Mapping[str, object], after: Mapping[str, object]) -> None:
    if after and after["number"] != before.get("number") and after.get("lastEnd"):
        metrics.RETRIES_TOTAL.labels(after["lastEnd"]).inc()
