"""Text → tokens with loss weights, many rows at a time: one call of the tokenizer a row would cost as much again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from .example import Example
from .read import Broken
from .render import Rendered, Span

Item = TypeVar("Item")

BATCH_CHARACTERS = 2**20
"""Of text that are tokenised at once: bounds memory, and gives each core of a large machine some rows."""
BATCH_ROWS = 2**12
"""The most of them: what a tokenizer tells of a row of few words takes more than the words."""


def tokenised(rows: Iterable[Rendered | Broken], tokenizer: Any) -> Iterator[Example | Broken]:
    """An example for each row, in their order; a row of which nothing is learnt is broken, and what is broken is passed on."""
    for batch in in_batches(rows, lambda row: len(row.text) if isinstance(row, Rendered) else 0):
        yield from _batch(batch, tokenizer)


def in_batches(rows: Iterable[Item], characters_of: Callable[[Item], int]) -> Iterator[list[Item]]:
    """The rows in their order, as many at a time as are worth one call of a tokenizer."""
    batch: list[Item] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += characters_of(row)
        if characters >= BATCH_CHARACTERS or len(batch) >= BATCH_ROWS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _batch(rows: Sequence[Rendered | Broken], tokenizer: Any) -> Iterator[Example | Broken]:
    texts = [row.text for row in rows if isinstance(row, Rendered)]
    options = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False}
    encodings = iter(tokenizer(texts, **options).encodings if texts else ())
    for row in rows:
        yield row if isinstance(row, Broken) else _example(row, next(encodings))


def _example(row: Rendered, encoding: Any) -> Example | Broken:
    first, last = len(row.before), len(row.before) + len(encoding)
    input_ids = np.empty(last + len(row.after), np.int32)
    input_ids[:first], input_ids[first:last], input_ids[last:] = row.before, encoding.ids, row.after
    weights = np.zeros(len(input_ids), np.float32)
    of_text = weights[first:last]
    for span in row.spans:
        of_text[tokens_of(span, encoding)] = span.weight
    weights[last:] = 1.0
    weights[:1] = 0.0
    if not weights.any():
        problem = "nothing in it is learnt: no token of the assistant has weight; check roles, weights and trainOn"
        return Broken(row.place, problem)
    return Example(input_ids, weights, row.place, row.beside)


def tokens_of(span: Span, encoding: Any) -> slice:
    """Those that have a character of the span, which may have characters (spaces) that no token has.

    Asked for by character: a list of all offsets takes longer to make than rendering the row.
    """
    inside = (encoding.char_to_token(place) for place in range(span.begin, span.end))
    begin = next((token for token in inside if token is not None), None)
    if begin is None:
        return slice(0, 0)
    backwards = (encoding.char_to_token(place) for place in reversed(range(span.begin, span.end)))
    end = 1 + next(token for token in backwards if token is not None)
    # The bytes of one character may be several tokens, of which the first was found.
    while end < len(encoding) and (chars := encoding.token_to_chars(end)) and chars[0] < span.end:
        end += 1
    return slice(begin, end)
