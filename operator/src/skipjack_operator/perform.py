"""Carrying a decision out: children are created, never re-applied; the status comes last, and only when it differs."""

from __future__ import annotations

import logging

from skipjack.api.v1alpha1.status import ConditionType
from skipjack_operator import metrics
from skipjack_operator.client import FINE_TUNE_JOBS, JOBS, SERVICES, AlreadyExists, Forbidden, Kube, Object
from skipjack_operator.decide import Decision, Observed, next_status
from skipjack_operator.decide.ends import has_condition
from skipjack_operator.events import Events

logger = logging.getLogger(__name__)

KINDS = {"Job": JOBS, "Service": SERVICES}
QUOTA_PAUSE_SECONDS = 30.0


class Stale(Exception):
    """What was observed is no longer so: look again."""


async def perform(kube: Kube, events: Events, seen: Observed, decision: Decision) -> Decision:
    """Does what was decided; gives the decision as it came out (a quota may have refused a child). Raises KubeError, Stale."""
    metadata = seen.job["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    for child in decision.delete:
        await kube.delete(JOBS, namespace, child["metadata"]["name"], child["metadata"]["uid"])
    for child, wanted in decision.suspend:
        await kube.patch(JOBS, namespace, child["metadata"]["name"], {"spec": {"suspend": wanted}})
    if decision.create:
        decision = await _create(kube, seen, decision)
    change = next_status(seen, decision)
    if change:
        fence = {"metadata": {"uid": metadata["uid"]}, "status": change}
        await kube.patch_status(FINE_TUNE_JOBS, namespace, name, fence)
        await _tell(events, seen, change)
    return decision


async def _create(kube: Kube, seen: Observed, decision: Decision) -> Decision:
    metadata = seen.job["metadata"]
    live = await kube.get(FINE_TUNE_JOBS, metadata["namespace"], metadata["name"])
    same = (
        live is not None and live["metadata"]["uid"] == metadata["uid"] and "deletionTimestamp" not in live["metadata"]
    )
    if live is None or not same or has_condition(live, "Complete", "Failed"):
        raise Stale(f"{metadata['namespace']}/{metadata['name']} has changed since it was observed")
    for child in decision.create:
        kind = KINDS[child["kind"]]
        try:
            await kube.create(kind, metadata["namespace"], child)
        except AlreadyExists as error:
            there = await kube.get(kind, metadata["namespace"], child["metadata"]["name"])
            if there is None:
                raise Stale(f"{child['metadata']['name']} came and went") from error
            if not _is_ours(there, metadata["uid"]):
                message = f"{child['kind']} {child['metadata']['name']} exists and is not this job's: rename or remove it, or rename the job."
                return _held_up(seen, "NameConflict", message)
        except Forbidden as error:
            if not error.is_quota:
                raise
            return _held_up(
                seen, "QuotaExceeded", f"{error.message}. It is tried again every {QUOTA_PAUSE_SECONDS:.0f} s."
            )
    return decision


def _held_up(seen: Observed, reason: str, message: str) -> Decision:
    told = Decision(look_again_seconds=QUOTA_PAUSE_SECONDS).telling(
        ConditionType.ACCEPTED, True, "Accepted", "The spec is complete and can run."
    )
    return told.telling(ConditionType.RUNNING, False, reason, message)


def _is_ours(child: Object, uid: str) -> bool:
    return any(o.get("controller") and o["uid"] == uid for o in child["metadata"].get("ownerReferences", []))


async def _tell(events: Events, seen: Observed, change: Object) -> None:
    """An Event for each condition that turned, and the metrics of an end."""
    old = {condition["type"]: condition for condition in seen.status.get("conditions") or []}
    for condition in change.get("conditions", []):
        before = old.get(condition["type"], {})
        if before.get("status") == condition["status"] and before.get("reason") == condition["reason"]:
            continue
        kind, holds = condition["type"], condition["status"] == "True"
        if holds and kind in (ConditionType.COMPLETE, ConditionType.FAILED):
            metrics.JOBS_FINISHED_TOTAL.labels(kind, condition["reason"]).inc()
            metrics.forget_job(seen.job["metadata"]["namespace"], seen.job["metadata"]["name"])
        wrong = kind == ConditionType.FAILED or (kind == ConditionType.ACCEPTED and not holds)
        await events.emit(seen.job, "Warning" if wrong else "Normal", condition["reason"], condition["message"])
