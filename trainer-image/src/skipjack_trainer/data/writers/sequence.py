"""What a sequence-to-sequence model reads, and what it is to write: the source's tokens, then the target's, of which each is learnt."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...errors import ConfigurationInvalid
from ..asked import Asked, ask
from ..example import PARTS, Example
from ..read import Broken
from ..tokenise import in_batches
from .base import Rows, Writer, Writing


def write(writing: Writing, rows: Rows) -> Iterator[Example | Broken]:
    tokenizer, end = writing.tokenizer, writing.tokenizer.eos_token_id
    if end is None:
        raise ConfigurationInvalid(
            "the model's tokenizer has no end-of-sequence token, so it could never learn where an answer ends: use another model."
        )
    asked = ((place, ask(row, writing.spec.dataset.instruction)) for place, row in rows)
    for batch in in_batches(asked, lambda row: len(row[1].words) + len(row[1].answer)):
        sources = tokenizer([told.words for _, told in batch], verbose=False)["input_ids"]
        # Marian's tokenizer has a vocabulary for each side.
        targets = tokenizer(text_target=[told.answer for _, told in batch], verbose=False)["input_ids"]
        for (place, told), source, target in zip(batch, sources, targets, strict=True):
            yield _example(place, told, source, target, end)


def _example(place: str, told: Asked, source: list[int], target: list[int], end: int) -> Example | Broken:
    if not told.words.strip():
        return Broken(
            place, "prompt: expected text, found nothing: a sequence-to-sequence model needs something to read"
        )
    learnt = target if target[-1:] == [end] else [*target, end]
    weights = np.repeat(np.array([0, 1], np.float32), [len(source), len(learnt)])
    parts = {PARTS: np.array([len(source), len(learnt)], np.int32)}
    return Example(np.array(source + learnt, np.int32), weights, place, {**told.beside, **parts})


def cut(example: Example, tokens: int) -> Example:
    """A cut source still ends as sources do; a cut target doesn't, or it would teach to stop there."""
    length = example.beside[PARTS][0]
    source, target = np.split(example.input_ids, [length])
    if length > tokens:
        source = np.append(source[: tokens - 1], source[-1:])
    parts = np.array([len(source), min(len(target), tokens)], np.int32)
    weights = np.concatenate([np.zeros(parts[0], np.float32), example.weights[length : length + parts[1]]])
    ids = np.concatenate([source, target[: parts[1]]])
    return Example(ids, weights, example.place, {**example.beside, PARTS: parts})


SEQUENCE = Writer(write, cut)
