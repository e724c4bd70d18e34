"""Carrying a decision out: children are created, never re-applied; then the status, only when it differs; deleting comes last.

A crash before or after any of these writes is followed by the same end: what was not written is decided again.
"""

from __future__ import annotations

from dataclasses import replace

from skipjack.api.v1alpha1.status import ConditionType
from skipjack_operator.client import (
    FINE_TUNE_JOBS,
    JOBS,
    SERVICES,
    AlreadyExists,
    Forbidden,
    Invalid,
    Kube,
    Object,
)
from skipjack_operator.decide import Decision, Observed, next_status
from skipjack_operator.decide.ends import has_ended
from skipjack_operator.owners import is_child_of

KINDS = {"Job": JOBS, "Service": SERVICES}
HELD_UP_SECONDS = 30.0


class Stale(Exception):
    """What was observed is no longer so: look again."""


async def perform(kube: Kube, seen: Observed, decision: Decision) -> tuple[Decision, Object]:
    """Does what was decided. Gives the decision as it came out (the API server may have refused a child), and what the status
    was changed by. Raises KubeError, Stale."""
    metadata = seen.job["metadata"]
    namespace, name = metadata["namespace"], metadata["name"]
    for child, wanted in decision.suspend:
        await kube.patch(JOBS, namespace, child["metadata"]["name"], {"spec": {"suspend": wanted}})
    if decision.create:
        decision = await _create(kube, seen, decision)
    change = next_status(seen, decision)
    if change:
        fence = {"metadata": {"uid": metadata["uid"]}, "status": change}
        await kube.patch_status(FINE_TUNE_JOBS, namespace, name, fence)
    for child in decision.delete:
        await kube.delete(JOBS, namespace, child["metadata"]["name"], child["metadata"]["uid"])
    return decision, change


async def _create(kube: Kube, seen: Observed, decision: Decision) -> Decision:
    metadata = seen.job["metadata"]
    live = await kube.get(FINE_TUNE_JOBS, metadata["namespace"], metadata["name"])
    same = (
        live is not None and live["metadata"]["uid"] == metadata["uid"] and "deletionTimestamp" not in live["metadata"]
    )
    if live is None or not same or has_ended(live):
        raise Stale(f"{metadata['namespace']}/{metadata['name']} has changed since it was observed")
    for child in decision.create:
        kind, name = KINDS[child["kind"]], child["metadata"]["name"]
        try:
            await kube.create(kind, metadata["namespace"], child)
        except AlreadyExists as error:
            there = await kube.get(kind, metadata["namespace"], name)
            if there is None:
                raise Stale(f"{name} came and went") from error
            if not is_child_of(there, metadata["uid"]):
                return _held_up(
                    decision,
                    "NameConflict",
                    f"{child['kind']} {name} exists and is not this job's: rename or remove it, or rename the job.",
                )
        except (Forbidden, Invalid) as error:
            is_quota = isinstance(error, Forbidden) and error.is_quota
            return _held_up(
                decision,
                "QuotaExceeded" if is_quota else f"{child['kind']}Refused",
                f"The API server refuses {child['kind']} {name}: {error.message}",
            )
    return decision


def _held_up(decision: Decision, reason: str, message: str) -> Decision:
    """Nothing was begun: so the status tells of no attempt, but of what is in its way."""
    told = decision.telling(
        ConditionType.RUNNING, False, reason, f"{message} It is tried again every {HELD_UP_SECONDS:.0f} s."
    )
    return replace(told, create=(), delete=(), status={}, look_again_seconds=HELD_UP_SECONDS)
