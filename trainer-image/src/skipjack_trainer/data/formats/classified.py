"""Texts, and pairs of texts, with the class they are of, or the classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat, Task

from .base import Layout, RowProblem, found, some_words
from .named import label, labels, name_of


@dataclass(frozen=True, slots=True)
class Classified:
    """A text, or two that are judged together, and its class; any number of classes where they don't exclude each other."""

    text: str
    pair: str | None
    labels: tuple[str, ...]
    is_multi_label: bool = False


def _one(values: dict[str, Any]) -> Classified:
    told = values.get("label")
    if isinstance(told, list):
        raise RowProblem(f"label: expected one label, found {found(told)}; a row of several has a list in `labels`")
    return Classified(some_words(values, "text"), _pair(values), (label(told, "label"),))


def _several(values: dict[str, Any]) -> Classified:
    told = labels(values, "labels")
    if twice := [name for index, name in enumerate(told) if name in told[:index]]:
        raise RowProblem(f"labels: expected each label once, found {twice[0]} twice")
    return Classified(some_words(values, "text"), _pair(values), told, is_multi_label=True)


def _pair(values: dict[str, Any]) -> str | None:
    return None if values.get("text_pair") is None else some_words(values, "text_pair")


def _labels_of(row: Classified) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(row.labels):
        yield (f"labels[{index}]" if row.is_multi_label else "label"), name


def _named(row: Classified, names: Sequence[str] | None) -> Classified:
    return replace(row, labels=tuple(name_of(name, names) for name in row.labels))


CLASSIFIED: dict[RowFormat, Layout] = {
    RowFormat.TEXT_LABEL: Layout(
        frozenset({"text", "label"}), Task.TEXT_CLASSIFICATION, _one, _labels_of, named=_named
    ),
    RowFormat.TEXT_LABELS: Layout(
        frozenset({"text", "labels"}), Task.TEXT_CLASSIFICATION, _several, _labels_of, named=_named
    ),
}
