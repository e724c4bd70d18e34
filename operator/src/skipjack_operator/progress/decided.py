"""What a trainer may decide of its job's settings, once and for all later attempts: what only data and model tell.

The next attempt is built from `status.resolved`: a pod must not choose, by posting, where its successor runs or writes.
"""

from __future__ import annotations

import json
import re
from typing import Any

from skipjack.protocol import ResolvedValue, Sample
from skipjack_operator.client import Object

BY_THE_DATA = frozenset(
    {
        "task",
        "dataset.packing",
        "evaluation.metric",
        "hyperparameters.learningRate",
        "hyperparameters.maxLength",
        "hyperparameters.globalBatchSize",
        "hyperparameters.maxSteps",
        "checkpoint.everySteps",
        "evaluation.everySteps",
        "compute.microBatchTokens",
    }
)
MODEL = "model.uri"
AT_A_COMMIT = re.compile(r"hf://[^/@\s]+/[^/@\s]+@[0-9a-f]{40}")


def merged(status: Object, sample: Sample) -> dict[str, Any]:
    """The fields of the status that the sample changes: `resolved` with what it may decide laid over the rest, and `facts`."""
    change: dict[str, Any] = {}
    if sample.resolved is not None:
        fields = {entry["field"]: entry for entry in status.get("resolved") or []}
        allowed = [value for value in sample.resolved if may_decide(value, fields.get(value.field))]
        fields |= {value.field: value.model_dump(mode="json") for value in allowed}
        change["resolved"] = list(fields.values())
    if sample.facts is not None:
        change["facts"] = dict(sample.facts)
    return change


def may_decide(value: ResolvedValue, before: Object | None) -> bool:
    """Whether a trainer may set this; `before` is what the status says of it."""
    if value.field == MODEL:
        return before is not None and pins(json.loads(value.value), json.loads(before["value"]))
    return value.field in BY_THE_DATA


def pins(uri: Any, before: str) -> bool:
    """Whether `uri` names one commit of the hub's repository that `before` names, and doesn't undo an earlier pin."""
    if not isinstance(uri, str) or not AT_A_COMMIT.fullmatch(uri):
        return False
    return uri == before or (uri.partition("@")[0] == before.partition("@")[0] and not AT_A_COMMIT.fullmatch(before))
