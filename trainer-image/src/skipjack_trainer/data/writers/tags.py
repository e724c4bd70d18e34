"""Texts with a tag for each word, for a head that looks at each token: a word's tag is that of its first token."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..example import Example
from ..formats.tagged import Word
from ..read import Broken
from .base import Rows, Writer, Writing
from .encode import SIDES, TAGS, TOKEN_TYPES, cut, encoded, sides_of


def write(writing: Writing, rows: Rows) -> Iterator[Example | Broken]:
    numbers = {name: number for number, name in enumerate(writing.labels)}
    texts = ((entry, entry[1].text, None) for entry in rows)
    for (place, row), encoding in encoded(texts, writing.tokenizer):
        tagged = zip(first_tokens(row.words, encoding), row.tags, strict=True)
        chosen = [(token, numbers[tag]) for token, tag in _begun(tagged)]
        if not chosen:
            yield Broken(place, "tokens: the model's tokenizer makes no tokens of them")
            continue
        tokens, tags = map(list, zip(*chosen, strict=True))
        sides = sides_of(encoding)
        weights, of_tokens = np.zeros(len(sides), np.float32), np.zeros(len(sides), np.int32)
        weights[tokens] = [writing.class_weights[tag] for tag in tags]
        of_tokens[tokens] = tags
        beside = {SIDES: sides, TOKEN_TYPES: np.array(encoding.type_ids, np.uint8), TAGS: of_tokens}
        yield Example(np.array(encoding.ids, np.int32), weights, place, beside)


def first_tokens(words: Sequence[Word], encoding: Any) -> Iterator[int | None]:
    """Of each word; None for one that has no token of its own: the tokenizer dropped it, or it shares that of the word before."""
    last = -1
    for begin, end in words:
        of_word = (encoding.char_to_token(place) for place in range(begin, end))
        token = next((token for token in of_word if token is not None and token > last), None)
        last = last if token is None else token
        yield token


def _begun(seen: Iterable[tuple[int | None, str]]) -> Iterator[tuple[int, str]]:
    """Words that have a token, and their tags: an entity whose first word has none begins with its next."""
    begins = False
    for token, tag in seen:
        if token is None:
            begins = tag.startswith("B-") or (begins and tag.startswith("I-"))
        else:
            yield token, f"B-{tag[2:]}" if begins and tag.startswith("I-") else tag
            begins = False


TAGGING = Writer(write, cut)
