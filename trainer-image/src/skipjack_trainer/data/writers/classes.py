"""Texts and pairs with their classes, for a head that looks at the whole text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...shape import Shape
from ..example import Example
from ..formats import Classified
from ..read import Broken
from .base import Rows, Writer, Writing
from .encode import SIDES, TOKEN_TYPES, cut, encoded, sides_of

CLASS = "class"
"""int32 [1]: the number of the label, of rows that have one."""
CLASSES = "classes"
"""uint8 [labels]: 1 for those that the row has, of rows that have any number of them."""


def write(writing: Writing, rows: Rows) -> Iterator[Example | Broken]:
    """Examples whose first token has the weight: there is one to a text, however it is cut."""
    numbers = {name: number for number, name in enumerate(writing.labels)}
    for (place, row), encoding in encoded(_texts(writing, rows), writing.tokenizer):
        sides = sides_of(encoding)
        if not (sides >= 0).any():
            yield Broken(place, "text: the model's tokenizer makes no tokens of it")
            continue
        weights = np.zeros(len(sides), np.float32)
        weights[0] = 1.0 if row.is_multi_label else writing.class_weights[numbers[row.labels[0]]]
        beside = {SIDES: sides, TOKEN_TYPES: np.array(encoding.type_ids, np.uint8)} | _target(row, numbers)
        yield Example(np.array(encoding.ids, np.int32), weights, place, beside)


def _texts(writing: Writing, rows: Rows) -> Iterator[tuple[tuple[str, Classified], str, str | None]]:
    """Causal models have no tokens of their own between two texts: a line's end is one that they know."""
    joins = writing.model.shape is Shape.DECODER
    for place, row in rows:
        if joins and row.pair is not None:
            yield (place, row), f"{row.text}\n{row.pair}", None
        else:
            yield (place, row), row.text, row.pair


def _target(row: Classified, numbers: dict[str, int]) -> dict[str, NDArray[Any]]:
    if not row.is_multi_label:
        return {CLASS: np.array([numbers[row.labels[0]]], np.int32)}
    target = np.zeros(len(numbers), np.uint8)
    target[[numbers[name] for name in row.labels]] = 1
    return {CLASSES: target}


CLASSIFYING = Writer(write, cut)
