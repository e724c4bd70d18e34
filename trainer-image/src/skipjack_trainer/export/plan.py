"""What is still to be written of a result that is stored, beside it: whoever goes on after a crash needs neither data nor training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from skipjack.protocol import StoredFormat
from skipjack.resolve import ResolvedSpec

from ..errors import Interrupted
from ..shape import Head
from ..storage import peek
from .output import Output


class Plan(BaseModel):
    model_config = ConfigDict(frozen=True)

    spec: ResolvedSpec
    """With what data and model told."""
    head: str
    samples: list[dict[str, list[int]]]
    attempt: int
    """The newest that goes by this plan: an earlier one, of which a pod may still run, writes nothing more."""
    made: list[StoredFormat] = []
    files: dict[str, dict[str, Any]] = {}
    """Of those that are made: name in the output → its bytes and sha256."""

    @property
    def kind(self) -> Head:
        return Head[self.head]


def keep(plan: Plan, output: Output, scratch: Path) -> Plan:
    file = scratch / "exports.json"
    file.write_text(plan.model_dump_json())
    output.exports.store.put(file, output.exports.path)
    return plan


def find(output: Output) -> Plan | None:
    """None: nothing is left to be written."""
    content = peek(*output.exports)
    return None if content is None else Plan.model_validate_json(content)


def check_fence(output: Output, attempt: int) -> None:
    """Raises Interrupted where a later attempt has taken over, or has ended."""
    refuse_overtaken(find(output), attempt)


def refuse_overtaken(told: Plan | None, attempt: int) -> None:
    """Raises Interrupted where the plan is a later attempt's, or done."""
    if told is None or told.attempt > attempt:
        raise Interrupted(f"a later attempt has taken over from this one ({attempt}): nothing more is written.")


def forget(output: Output) -> None:
    output.exports.store.delete(output.exports.path)
