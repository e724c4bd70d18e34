"""What layouts are made of: their columns, and reading a row in words that help."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.dataset import Task

from ..strict_json import parse_json


class RowProblem(Exception):
    """What is wrong in a row: field, what was found, what was expected."""

    def __init__(self, problem: str, item: int | None = None) -> None:
        super().__init__(problem)
        self.item = item
        """Of a row that is several lines: which of them, counted from 0."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows of some columns are read."""

    columns: frozenset[str]
    """Those that a row must have; others may stand beside them."""
    task: Task
    interpret: Callable[[dict[str, Any]], Any]
    """A row's values → what the task's writer takes. Raises RowProblem."""
    labels_of: Callable[[Any], Iterable[tuple[str, str]]] = lambda row: ()
    """(field, label) of each label that an interpreted row has."""
    implied: Callable[[str], Iterable[str]] = lambda label: ()
    """Labels that there are wherever this one is, seen or not."""
    named: Callable[[Any, Sequence[str] | None], Any] = lambda row, names: row
    """An interpreted row whose labels have the names that the spec lists, where rows name them by number. Raises RowProblem."""
    one_of: tuple[tuple[str, ...], ...] = ()
    """Groups of columns: a row must have one of each."""
    opened: Callable[[Any, Path], Any] = lambda row, folder: row
    """(an interpreted row, the folder that its file lies in) → the row with the files that it names opened. Raises RowProblem."""

    def used(self, columns: AbstractSet[str]) -> AbstractSet[str] | None:
        """Those of a row's columns that it is read by; None for a row that isn't laid out so."""
        fits = self.columns <= columns and all(not columns.isdisjoint(group) for group in self.one_of)
        return columns & self.columns.union(*self.one_of) if fits else None

    def __str__(self) -> str:
        """The columns, as messages tell them."""
        return " + ".join([*sorted(self.columns), *("|".join(group) for group in self.one_of)])


def words(values: dict[str, Any], field: str) -> str:
    """The text of a field. Raises RowProblem."""
    value = values.get(field)
    if not isinstance(value, str):
        raise RowProblem(f"{field}: expected text, found {found(value)}")
    return value


def some_words(values: dict[str, Any], field: str) -> str:
    """The text of a field that may not be blank. Raises RowProblem."""
    text = words(values, field)
    if not text.strip():
        raise RowProblem(f"{field}: expected text, found nothing but white space")
    return text


def json_if_text(value: Any, field: str) -> Any:
    """CSV can hold lists only as JSON text. Raises RowProblem."""
    if not isinstance(value, str):
        return value
    try:
        return parse_json(value)
    except ValueError as error:
        raise RowProblem(f"{field}: found text that is not JSON ({error})") from error


def found(value: Any) -> str:
    """A value as messages show it."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
