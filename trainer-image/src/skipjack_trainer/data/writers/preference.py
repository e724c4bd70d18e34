"""Preferences: what is learnt of an answer is its own words, never the prompt's.

A pair is one example of two sequences. Beside an answer that is judged stands one to another prompt: KTO measures how likely the model
holds such mismatched answers to be. It is chosen here, by where rows stand, not out of a micro-batch, whose size is the hardware's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from skipjack.preference import LOSSES
from skipjack.resolve import ResolvedSpec

from ...errors import ConfigurationInvalid, DataInvalid
from ..example import PARTS, WEIGHT, Example, Examples, first_of_each
from ..formats import Answered, Judged, Pair, RowProblem
from ..read import Broken
from ..render import Rendered, Renderer
from ..tokenise import tokenised
from .base import Rows, Writer, Writing

DESIRABLE = "desirable"
"""Beside an answer that is judged: bool [1]."""
MISMATCHED, MISMATCHED_WEIGHTS = "mismatched", "mismatched_weights"
"""Beside it: the tokens of its prompt with another's answer, and which of them are that answer's."""

WINDOW = 64
"""Rows among which answers are exchanged: memory holds so many, and neighbours are often answers to one prompt."""

KINDS = {True: "pairs of answers", False: "single answers with a label"}


def write(writing: Writing, rows: Rows) -> Iterator[Example | Broken]:
    renderer = Renderer(writing.tokenizer, writing.spec.dataset.train_on)
    judgements: deque[bool | None] = deque()
    answers = tokenised(_rendered(rows, renderer, judgements), writing.tokenizer)
    return _mismatched(_examples(answers, judgements))


def _rendered(rows: Rows, renderer: Renderer, judgements: deque[bool | None]) -> Iterator[Rendered | Broken]:
    """Both answers of a pair, the one that is judged; `judgements` gets one of each row, None for a pair."""
    for place, row in rows:
        judgements.append(row.is_desirable if isinstance(row, Judged) else None)
        for answered in _answers(row):
            try:
                yield renderer.render(answered, place)
            except RowProblem as problem:
                yield Broken(place, str(problem))


def _answers(row: Pair | Judged) -> Sequence[Answered]:
    return (row.answered,) if isinstance(row, Judged) else (row.chosen, row.rejected)


def _examples(answers: Iterator[Example | Broken], judgements: deque[bool | None]) -> Iterator[Example | Broken]:
    """One for each row; an answer that is judged has its judgement beside it."""
    once = np.ones(1, np.float32)
    for answer in answers:
        judgement = judgements.popleft()
        sides = [answer, next(answers)] if judgement is None else [answer]
        whole = [side for side in sides if isinstance(side, Example)]
        if len(whole) < len(sides):
            yield next(side for side in sides if isinstance(side, Broken))
        elif judgement is None:
            yield _joined(whole).with_beside(**{WEIGHT: once})
        else:
            yield whole[0].with_beside(**{WEIGHT: once, DESIRABLE: np.array([judgement])})


def _joined(sides: Sequence[Example]) -> Example:
    ids, weights = (np.concatenate(arrays) for arrays in zip(*((s.input_ids, s.weights) for s in sides), strict=True))
    return Example(ids, weights, sides[0].place, {PARTS: np.array([len(side) for side in sides], np.int32)})


def _mismatched(rows: Iterator[Example | Broken]) -> Iterator[Example | Broken]:
    """What is judged, with a mismatched answer; all else as it comes."""
    window: list[Example] = []
    earlier: list[Example] = []
    for row in rows:
        if isinstance(row, Broken) or DESIRABLE not in row.beside:
            yield row
            continue
        window.append(row)
        if len(window) == WINDOW:
            yield from _exchanged(window, earlier)
            earlier, window = window, []
    yield from _exchanged(window, earlier)


def _exchanged(window: Sequence[Example], earlier: Sequence[Example]) -> Iterator[Example]:
    """Each with the answer of one half a window on, or of the first after that which answers another prompt."""
    half = len(window) // 2
    for index, one in enumerate(window):
        begin, prompt = _begin(one), one.input_ids[: _begin(one)]
        onward = (index + half) % len(window)
        others = [*window[onward:], *window[:onward], *earlier]
        other = next((o for o in others if not np.array_equal(o.input_ids[: _begin(o)], prompt)), others[0])
        ids = np.concatenate([prompt, other.input_ids[_begin(other) :]])
        weights = np.concatenate([one.weights[:begin], other.weights[_begin(other) :]])
        yield one.with_beside(**{MISMATCHED: ids, MISMATCHED_WEIGHTS: weights})


def _begin(example: Example) -> int:
    """Where its answer begins."""
    return int(np.argmax(example.weights > 0))


def judge(spec: ResolvedSpec, examples: Examples, field: str) -> None:
    """Raises ConfigurationInvalid when the loss learns from the other kind of rows, DataInvalid when all judgements are alike."""
    assert spec.preference is not None, "resolve_data settles it"
    if not len(examples):
        return
    loss, judgements = spec.preference.loss, examples.table.beside.get(DESIRABLE)
    is_paired = judgements is None
    if LOSSES[loss].takes_pairs is not is_paired:
        able = ", ".join(known.value for known, about in LOSSES.items() if about.takes_pairs is is_paired)
        raise ConfigurationInvalid(
            f"preference.loss: {loss.value} learns from {KINDS[not is_paired]}, dataset.{field} has {KINDS[is_paired]}: "
            f"choose {able}, or bring other rows."
        )
    if judgements is None:
        return
    labels = (judgements.values[part.rows] for part in examples.parts())
    counts = [(len(some), np.count_nonzero(some)) for some in labels]
    rows, desirable = (sum(some) for some in zip(*counts, strict=True))
    if desirable in (0, rows):
        kind = str(desirable > 0).lower()
        raise DataInvalid(
            f"dataset.{field}: the label of every row is {kind}; {loss.value} learns from the difference: bring answers of both kinds."
        )


PREFERENCE = Writer(write, first_of_each, judge)
