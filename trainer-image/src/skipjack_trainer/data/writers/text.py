"""Chats and documents: what a causal model reads from left to right."""

from __future__ import annotations

from collections.abc import Iterator

from ..example import Example
from ..formats import RowProblem
from ..read import Broken
from ..render import Rendered, Renderer
from ..tokenise import tokenised
from .base import Rows, Writer, Writing


def write(writing: Writing, rows: Rows) -> Iterator[Example | Broken]:
    renderer = Renderer(writing.tokenizer, writing.spec.dataset.train_on)
    return tokenised(_rendered(rows, renderer), writing.tokenizer)


def _rendered(rows: Rows, renderer: Renderer) -> Iterator[Rendered | Broken]:
    for place, row in rows:
        try:
            yield renderer.render(row, place)
        except RowProblem as problem:
            yield Broken(place, str(problem))


TEXT = Writer(write)
