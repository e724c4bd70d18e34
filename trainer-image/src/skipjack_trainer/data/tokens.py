"""Text → tokens with loss weights, many rows at a time: one call of the tokenizer a row would cost as much again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np

from .example import Example
from .read import Broken
from .render import Rendered

BATCH_CHARACTERS = 2**19
"""Of text that are tokenised at once: offsets are Python's numbers until they are looked at, some 200 bytes a token."""


def tokenised(rows: Iterable[Rendered | Broken], tokenizer: Any) -> Iterator[Example | Broken]:
    """An example for each row, in their order; a row of which nothing is learnt is broken, and what is broken is passed on."""
    batch: list[Rendered | Broken] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += len(row.text) if isinstance(row, Rendered) else 0
        if characters >= BATCH_CHARACTERS:
            yield from _batch(batch, tokenizer)
            batch, characters = [], 0
    yield from _batch(batch, tokenizer)


def _batch(rows: Sequence[Rendered | Broken], tokenizer: Any) -> Iterator[Example | Broken]:
    texts = [row.text for row in rows if isinstance(row, Rendered)]
    encoded = tokenizer(
        texts,
        add_special_tokens=False,
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
    ) if texts else {"input_ids": [], "offset_mapping": []}  # fmt: skip
    told = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
    for row in rows:
        yield row if isinstance(row, Broken) else _example(row, *next(told))


def _example(row: Rendered, ids: list[int], offsets: list[tuple[int, int]]) -> Example | Broken:
    first, last = len(row.before), len(row.before) + len(ids)
    input_ids = np.empty(last + len(row.after), np.int32)
    input_ids[:first], input_ids[first:last], input_ids[last:] = row.before, ids, row.after
    weights = np.zeros(len(input_ids), np.float32)
    edges = np.fromiter(chain.from_iterable(offsets), np.int32, 2 * len(offsets))
    starts, stops, of_text = edges[::2], edges[1::2], weights[first:last]
    for begin, end, weight in row.spans:
        of_text[(stops > begin) & (starts < end)] = weight
    weights[last:] = 1.0
    weights[:1] = 0.0
    if not weights.any():
        problem = "nothing in it is learnt: no token of the assistant has weight; check roles, weights and trainOn"
        return Broken(row.place, problem)
    return Example(input_ids, weights, row.place)
