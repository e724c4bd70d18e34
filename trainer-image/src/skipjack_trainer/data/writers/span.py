"""Questions whose answers an encoder finds in their contexts: a context that is too long for it is read in windows that overlap.

A window is the question and a part of the context, as the tokenizer writes pairs. Its label is where the answer begins and ends;
the first token, where the window doesn't hold the whole answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..asked import ask
from ..example import Example, utf8
from ..formats import Answer, Question, RowProblem
from ..formats.question import place_of
from ..read import Broken
from ..tokenise import in_batches
from .base import Rows, Writer, Writing

WINDOW_BY_DEFAULT = 384
"""Tokens, as in the script that came with BERT (google-research/bert, run_squad.py: max_seq_length)."""

SPAN, CONTEXT, OFFSETS, WINDOW, KINDS = "span", "context", "offsets", "window", "token_types"
"""Beside a window: (first, last) token of the answer; its part of the context; the characters of that part which each of its tokens has,
(begin, end) after (begin, end); (its number in the row from 0, its context's first token); which text each token is of, if the model is told."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How contexts are cut."""

    tokens: int
    """Of a window with its question."""
    stride: int
    """Tokens that neighbours share."""
    tells_texts_apart: bool

    @classmethod
    def of(cls, writing: Writing) -> Windows:
        context = writing.model.context_length or WINDOW_BY_DEFAULT
        tokens = writing.spec.hyperparameters.max_length or min(WINDOW_BY_DEFAULT, context)
        return cls(tokens, writing.spec.dataset.stride, "token_type_ids" in writing.tokenizer.model_input_names)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its whole context in tokens; context tokens are those from `first` to `last`."""

    ids: NDArray[np.int32]
    kinds: NDArray[np.uint8]
    offsets: NDArray[np.int32]
    """[tokens, 2]: characters of the text that each is of."""
    first: int
    last: int

    @classmethod
    def of(cls, encoding: Any) -> Pair:
        is_context = np.array([text == 1 for text in encoding.sequence_ids])
        places = np.flatnonzero(is_context)
        first, last = (int(places[0]), int(places[-1]) + 1) if len(places) else (0, 0)
        offsets = np.array(encoding.offsets, np.int32)
        return cls(np.array(encoding.ids, np.int32), np.array(encoding.type_ids, np.uint8), offsets, first, last)


def write(writing: Writing, rows: Rows) -> Iterator[Example | Broken]:
    windows = Windows.of(writing)
    for batch in in_batches(rows, lambda row: len(row[1].question) + len(row[1].context)):
        questions, contexts = zip(*((row.question, row.context) for _, row in batch), strict=True)
        encodings = writing.tokenizer(list(questions), list(contexts), verbose=False).encodings
        for (place, row), encoding in zip(batch, encodings, strict=True):
            try:
                yield from _windows(place, row, Pair.of(encoding), windows)
            except RowProblem as problem:
                yield Broken(place, str(problem))


def _windows(place: str, row: Question, pair: Pair, windows: Windows) -> list[Example]:
    """Those of one row, in the order of its context. Raises RowProblem."""
    if pair.first == pair.last:
        raise RowProblem(
            "context: expected text that holds the answer, found none, and an encoder has no words of its own"
        )
    room = windows.tokens - (len(pair.ids) - (pair.last - pair.first))
    if room <= windows.stride:
        raise RowProblem(
            f"question: it leaves {max(room, 0)} of a window's {windows.tokens} tokens to the context, and neighbours share {windows.stride} of "
            "them: raise hyperparameters.maxLength, lower dataset.stride, or ask more briefly"
        )
    span = _tokens_of(_placed(row), pair) if row.answers else None
    step = room - windows.stride
    # Another begins as long as the one before it has not reached the end.
    begins = range(pair.first, max(pair.first + 1, pair.last - windows.stride), step)
    told = [
        _window(place, row, pair, span, number, begin, min(begin + room, pair.last), windows)
        for number, begin in enumerate(begins)
    ]
    if span and not any(window.beside[SPAN].any() for window in told):
        raise RowProblem(
            f"answers.text[0]: it has {span[1] - span[0] + 1} tokens, and no window holds them all: raise dataset.stride or "
            "hyperparameters.maxLength"
        )
    return told


def _window(
    place: str,
    row: Question,
    pair: Pair,
    span: tuple[int, int] | None,
    number: int,
    begin: int,
    end: int,
    windows: Windows,
) -> Example:
    """The question, and tokens `begin` to `end` of the pair."""
    tokens = np.r_[: pair.first, begin:end, pair.last : len(pair.ids)]
    holds = span is not None and begin <= span[0] and span[1] < end
    label = np.array(span, np.int32) - (begin - pair.first) if holds else np.zeros(2, np.int32)
    weights = np.zeros(len(tokens), np.float32)
    np.add.at(weights, label, 0.5)
    offsets = pair.offsets[begin:end]
    beside = {
        **ask(row, None).beside,
        SPAN: label,
        CONTEXT: utf8(row.context[offsets[0, 0] : offsets[-1, 1]]),
        OFFSETS: (offsets - offsets[0, 0]).ravel(),
        WINDOW: np.array([number, pair.first], np.int32),
    }
    if windows.tells_texts_apart:
        beside[KINDS] = pair.kinds[tokens]
    return Example(pair.ids[tokens], weights, place, beside)


def _placed(row: Question) -> Answer:
    """The answer that is learnt, with its place. Raises RowProblem."""
    answer = row.answers[0]
    return Answer(answer.text, place_of(answer.text, row.context, "answer")) if answer.begin is None else answer


def _tokens_of(answer: Answer, pair: Pair) -> tuple[int, int]:
    """(first, last) token of the answer's words."""
    assert answer.begin is not None, "a placed answer has one"
    spaces = len(answer.text) - len(answer.text.lstrip())
    begin, end = answer.begin + spaces, answer.begin + len(answer.text.rstrip())
    offsets = pair.offsets[pair.first : pair.last]
    first = min(int(np.searchsorted(offsets[:, 1], begin, side="right")), len(offsets) - 1)
    last = int(np.searchsorted(offsets[:, 0], end, side="left")) - 1
    return pair.first + first, pair.first + max(first, last)


SPANS = Writer(write)
