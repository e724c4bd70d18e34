"""Texts and pairs → tokens with what the tokenizer itself puts around them, many rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..example import Example
from ..tokenise import BATCH_CHARACTERS, BATCH_ROWS

Row = TypeVar("Row")

SIDES = "sides"
"""int8, one a token: whether it is of the first text (0), of the second (1), or was put around them (-1)."""
TOKEN_TYPES = "token_types"
"""uint8, one a token: what BERT and its kin tell two texts apart by."""
TAGS = "tags"
"""int32, one a token: the number of its label, where it has a weight."""


def encoded(rows: Iterable[tuple[Row, str, str | None]], tokenizer: Any) -> Iterator[tuple[Row, Any]]:
    """(row, first text, second text) → (row, encoding), in their order. The texts of one call all are pairs, or all are not."""
    batch: list[tuple[Row, str, str | None]] = []
    characters = 0
    for entry in rows:
        is_other_kind = batch and (batch[0][2] is None) is not (entry[2] is None)
        if is_other_kind or characters >= BATCH_CHARACTERS or len(batch) >= BATCH_ROWS:
            yield from _batch(batch, tokenizer)
            batch, characters = [], 0
        batch.append(entry)
        characters += len(entry[1]) + len(entry[2] or "")
    if batch:
        yield from _batch(batch, tokenizer)


def _batch(batch: list[tuple[Row, str, str | None]], tokenizer: Any) -> Iterator[tuple[Row, Any]]:
    rows, texts, pairs = zip(*batch, strict=True)
    told = tokenizer(list(texts), list(pairs) if pairs[0] is not None else None, return_attention_mask=False)
    return zip(rows, told.encodings, strict=True)


def sides_of(encoding: Any) -> NDArray[np.int8]:
    return np.array([-1 if side is None else side for side in encoding.sequence_ids], np.int8)


def cut(example: Example, tokens: int) -> Example:
    """What was put around the texts stays; of two texts the longer one is shortened first, from its end."""
    sides = example.beside[SIDES]
    first, second = np.flatnonzero(sides == 0), np.flatnonzero(sides == 1)
    room = max(0, tokens - int((sides < 0).sum()))
    of_second = min(len(second), max(room // 2, room - len(first)))
    of_first = min(len(first), room - of_second)
    kept = np.sort(np.concatenate([np.flatnonzero(sides < 0), first[:of_first], second[:of_second]]))[:tokens]
    beside = {
        name: array[kept] if name in (SIDES, TOKEN_TYPES, TAGS) else array for name, array in example.beside.items()
    }
    return Example(example.input_ids[kept], example.weights[kept], example.place, beside)
