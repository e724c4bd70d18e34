"""An object that is refused: one change to the smallest of its kind, and the words of the refusal."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any, NamedTuple

DROP = object()
"""In place of a value: the field is left out."""

API_VERSION = "skipjack.dev/v1alpha1"
SMALL: dict[str, dict[str, Any]] = {
    "FineTuneJob": {
        "model": "hf://org/m",
        "dataset": {"train": [{"uri": "configmap://d/t.jsonl"}]},
        "output": {"uri": "pvc://m/r"},
        "managedBy": "example.com/nobody",
    },
    "NodeType": {"cpu": "2", "memory": "4Gi", "precisions": ["FP32"]},
    "BaseModel": {"uri": "hf://org/m"},
}


class Refusal(NamedTuple):
    """One change to the smallest object of its kind. Numbers in the dotted `path` are places in a list."""

    kind: str
    path: str
    value: Any
    remedy: str
    """Words that the refusal holds."""
    judged: str = ""
    """The field that is named, where it is not the one at `path`."""

    @property
    def field(self) -> str:
        if self.judged:
            return self.judged
        return "".join(f"[{step}]" if step.isdigit() else f".{step}" for step in self.path.split("."))[1:]

    @property
    def body(self) -> dict[str, Any]:
        return changed(self.kind, self.path, self.value)


def changed(kind: str, path: str, value: Any) -> dict[str, Any]:
    """The smallest object of that kind with one field set, or left out."""
    body: dict[str, Any] = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": "bot"}}
    body["spec"] = copy.deepcopy(SMALL[kind])
    at: Any = body
    steps = [int(step) if step.isdigit() else step for step in path.split(".")]
    for step, after in pairwise(steps):
        empty: Any = [{}] if isinstance(after, int) else {}
        at = at[step] if isinstance(step, int) else at.setdefault(step, empty)
    if value is DROP:
        del at[steps[-1]]
    else:
        at[steps[-1]] = value
    return body
