"""Translations and questions for a causal model: a user's turn and the assistant's, or plain text where there is no chat template."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from skipjack.api.v1alpha1.dataset import TrainOn

from ...errors import ConfigurationInvalid
from ..asked import END, Asked, ask
from ..example import Example
from ..formats import Chat, Document, RowProblem
from ..read import Broken
from ..render import Rendered, Renderer
from ..tokenise import tokenised
from .base import Rows, Writer, Writing


def write(writing: Writing, rows: Rows) -> Iterator[Example | Broken]:
    if writing.spec.dataset.train_on is TrainOn.ALL:
        raise ConfigurationInvalid(
            "dataset.trainOn: of translations and answers to questions the answer alone is learnt: remove it."
        )
    return tokenised(_rendered(writing, rows), writing.tokenizer)


def _rendered(writing: Writing, rows: Rows) -> Iterator[Rendered | Broken]:
    renderer = Renderer(writing.tokenizer, TrainOn.ASSISTANT)
    for place, row in rows:
        asked = ask(row, writing.spec.dataset.instruction)
        try:
            yield replace(renderer.render(_spoken(asked, writing.tokenizer), place), beside=asked.beside)
        except RowProblem as problem:
            yield Broken(place, str(problem))


def _spoken(asked: Asked, tokenizer: Any) -> Chat | Document:
    if not tokenizer.chat_template:
        return Document(asked.words + END, asked.answer)
    turns = ({"role": "user", "content": asked.words}, {"role": "assistant", "content": asked.answer})
    return Chat(turns, (1.0, 1.0))


ANSWER = Writer(write)
