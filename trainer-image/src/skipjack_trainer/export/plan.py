"""What is still to be written of a result that is stored, beside it: whoever goes on after a crash needs neither data nor training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from skipjack.protocol import StoredFormat
from skipjack.resolve import ResolvedSpec

from ..shape import Head
from .output import OWN_FOLDER, Output

NAME = "exports.json"


class Plan(BaseModel):
    model_config = ConfigDict(frozen=True)

    spec: ResolvedSpec
    """With what data and model told."""
    head: str
    samples: list[dict[str, list[int]]]
    made: list[StoredFormat] = []
    files: dict[str, dict[str, Any]] = {}
    """Of those that are made: name in the output → its bytes and sha256."""

    @property
    def kind(self) -> Head:
        return Head[self.head]


def place_of(output: Output) -> str:
    return f"{output.path}/{OWN_FOLDER}/{output.spec.job_uid}/{NAME}"


def keep(plan: Plan, output: Output, scratch: Path) -> Plan:
    file = scratch / NAME
    file.write_text(plan.model_dump_json())
    output.store.put(file, place_of(output))
    return plan


def find(output: Output, scratch: Path) -> Plan | None:
    """None: nothing is left to be written."""
    place = place_of(output)
    if not output.store.exists(place):
        return None
    return Plan.model_validate_json(
        (output.store.local(place) or output.store.get(place, scratch / "plan")).read_text()
    )


def forget(output: Output) -> None:
    output.store.delete(place_of(output))
