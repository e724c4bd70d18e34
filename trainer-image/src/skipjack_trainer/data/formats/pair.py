"""Texts that say the same in two languages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat, Task

from .base import Layout, some_words


@dataclass(frozen=True, slots=True)
class Translation:
    """A text, and what it is in the other language. Names and numbers may be the same in both."""

    source: str
    target: str


def _source_target(values: dict[str, Any]) -> Translation:
    return Translation(some_words(values, "source"), some_words(values, "target"))


PAIRS: dict[RowFormat, Layout] = {
    RowFormat.SOURCE_TARGET: Layout(frozenset({"source", "target"}), Task.TRANSLATION, _source_target),
}
