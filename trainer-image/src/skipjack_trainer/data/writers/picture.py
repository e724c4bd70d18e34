"""Pictures and their captions, for diffusion models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from skipjack.resolve import ResolvedSpec

from ...errors import ConfigurationInvalid
from ...shape import ModelFacts
from ..example import Example
from ..formats import Picture
from ..images import square
from ..read import Broken
from .base import Rows, Writer, Writing

PIXELS = "pixels"
"""Beside a caption: its picture, uint8 [resolution · resolution · 3], row by row."""
ROWS_AT_ONCE = 64


def write(writing: Writing, rows: Rows) -> Iterator[Example | Broken]:
    """An example's tokens are its caption's, filled up to as many as the text encoder reads. It has weight 1 in all, at its last token."""
    side, length = resolution_of(writing.spec, writing.model), caption_length(writing.spec, writing.model)
    rest = iter(rows)
    while some := list(islice(rest, ROWS_AT_ONCE)):
        yield from _written(writing, some, side, length)


def resolution_of(spec: ResolvedSpec, model: ModelFacts) -> int:
    """Pixels of a picture's width and height. Raises ConfigurationInvalid."""
    assert model.picture is not None, "a diffusion model draws pictures"
    side, step = spec.dataset.resolution or model.picture.resolution, model.picture.step
    if side % step:
        nearest = max(step, round(side / step) * step)
        raise ConfigurationInvalid(
            f"dataset.resolution is {side}, this model draws in steps of {step} pixels: {nearest} for example."
        )
    return side


def caption_length(spec: ResolvedSpec, model: ModelFacts) -> int:
    """Tokens of every caption: a text encoder is asked with as many as it reads, in training as in drawing. Raises ConfigurationInvalid."""
    assert model.context_length is not None, "a text encoder tells it"
    if spec.hyperparameters.max_length not in (None, model.context_length):
        raise ConfigurationInvalid(
            f"hyperparameters.maxLength is {spec.hyperparameters.max_length}, captions have as many tokens as the text encoder "
            f"reads, {model.context_length}: leave it out."
        )
    return model.context_length


def _written(
    writing: Writing, rows: Iterable[tuple[str, Picture]], side: int, length: int
) -> Iterator[Example | Broken]:
    rows = list(rows)
    captions = [row.caption for _, row in rows]
    ids = writing.tokenizer(captions, padding="max_length", max_length=length, truncation=False).input_ids
    for (place, row), tokens in zip(rows, ids, strict=True):
        image: Any = row.image
        if 2 * min(image.size) < side:
            told = f"it has {image.width} x {image.height} pixels, too few for {side} x {side}: give at least {side // 2} on the shorter edge"
            yield Broken(place, f"{row.field}: {told}, or lower dataset.resolution")
            continue
        weights = np.zeros(len(tokens), np.float32)
        weights[-1] = 1.0
        pixels = np.asarray(square(image, side), np.uint8).reshape(-1)
        yield Example(np.asarray(tokens, np.int32), weights, place, {PIXELS: pixels})


def cut(example: Example, tokens: int) -> Example:
    """The caption's first tokens and its last, which ends it: text encoders look for that one."""
    kept = np.r_[0 : tokens - 1, len(example) - 1]
    return Example(example.input_ids[kept], example.weights[kept], example.place, example.beside)


PICTURE = Writer(write, cut)
