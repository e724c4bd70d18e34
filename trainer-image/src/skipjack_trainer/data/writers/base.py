"""The interface of a writer: rows of one task → examples for models of one shape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from skipjack.resolve import ResolvedSpec

from ...shape import ModelFacts
from ..example import Cut, Example, Examples, first_tokens
from ..read import Broken

Rows = Iterable[tuple[str, Any]]
"""(place, row), as the task's layouts read it."""


@dataclass(frozen=True, slots=True)
class Writing:
    """What rows are written for."""

    spec: ResolvedSpec
    tokenizer: Any
    model: ModelFacts
    labels: tuple[str, ...] = ()
    """Of a task that has them: the place of each is its number."""
    class_weights: tuple[float, ...] = ()
    """How much each of them counts."""


Judge = Callable[[ResolvedSpec, Examples, str], None]
"""(spec with nothing left open, examples, field of the dataset) → raises DataInvalid, ConfigurationInvalid."""


@dataclass(frozen=True, slots=True)
class Writer:
    """How examples of a task are made, and how they are cut."""

    write: Callable[[Writing, Rows], Iterator[Example | Broken]]
    """Examples in the order of their rows, one or more for each, or what is wrong with a row. Raises ConfigurationInvalid."""
    cut: Cut = first_tokens
    judge: Judge = lambda spec, examples, field: None
    """For what only all examples of a field of the dataset together tell."""
