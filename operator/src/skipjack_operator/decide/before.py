"""The job that another starts from, as it was found; once settled, as the other's own status tells of it."""

from __future__ import annotations

import json
from typing import Any

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.api.v1alpha1.start import BEST, LAST
from skipjack.resolve import Predecessor, SpecRefused

from .ends import has_condition, has_ended
from .types import Object, Observed

URI = "startFrom.uri"
CHECKPOINTS = "startFrom.checkpoints"


def values_of(job: Object) -> dict[str, Any]:
    """The resolved settings in a job's status, by field."""
    told = (job.get("status") or {}).get("resolved") or []
    return {value["field"]: json.loads(value["value"]) for value in told}


def is_settled(job: Object) -> bool:
    """Whether the job's own status tells all of the one before it, which may then be deleted."""
    return URI in values_of(job)


def predecessor(seen: Observed, own: FineTuneJobSpec) -> Predecessor | None:
    """The job that this one starts from. Raises SpecRefused where there is nothing to start from, yet or at all."""
    if own.start_from is None or own.start_from.job is None:
        return None
    name, values = own.start_from.job, values_of(seen.job)
    if URI in values:
        # What it gave is in these values already, its model too: nothing is to be told whole from part any more.
        uri = values[URI]
        return Predecessor(
            name, values["startFrom.jobUid"], uri, values.get(CHECKPOINTS, uri), False, values, is_settled=True
        )
    if name == seen.job["metadata"]["name"]:
        raise SpecRefused("StartNotFound", f"spec.startFrom.job: {name} is this job itself: name another one.")
    if seen.before is None:
        raise SpecRefused(
            "StartNotFound",
            f"spec.startFrom.job: there is no FineTuneJob {name} in this namespace: create it, or name another; "
            "the output of one that was deleted can be named by startFrom.uri.",
        )
    return _ready(seen.before, name, own.start_from.checkpoint)


def _ready(job: Object, name: str, checkpoint: str | None) -> Predecessor:
    """Raises SpecRefused until there is something to start from."""
    values, is_complete = values_of(job), has_condition(job, "Complete") is not None
    reached = ((job.get("status") or {}).get("progress") or {}).get("checkpointStep")
    if not is_complete:
        state = (job.get("status") or {}).get("state") or "Pending"
        is_moving = checkpoint in (None, BEST, LAST) and not has_ended(job)
        if is_moving:
            raise SpecRefused(
                "StartNotReady",
                f"spec.startFrom.job: {name} has not ended (it is {state}): this job begins once it has; or name a step that it has stored, "
                f"by startFrom.checkpoint{f': {reached}' + ' for example' if reached else ''}.",
            )
        if reached is None or "method.type" not in values:
            raise SpecRefused(
                "StartNotReady", f"spec.startFrom.job: {name} is {state} and has no checkpoint: name another job."
            )
    metadata, output = job["metadata"], job["spec"]["output"]["uri"]
    kept = values.get("checkpoint.uri", output)
    return Predecessor(name, metadata["uid"], output, kept, is_complete, values)
