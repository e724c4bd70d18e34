"""Translations and answers by causal models: held-out rows are asked as they are learnt, and no neighbour changes an answer."""

from __future__ import annotations

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.tasks import seq2seq

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack_trainer.data.example import Example
from skipjack_trainer.data.formats import interpret
from skipjack_trainer.data.writers import Writing, writer_of
from skipjack_trainer.model import attention_of
from skipjack_trainer.shape import Shape
from skipjack_trainer.tasks import RECIPES

RECIPE = RECIPES[Task.TRANSLATION][Shape.DECODER]


def examples(template: str | None) -> list[Example]:
    rows = ((str(n), interpret(RowFormat.SOURCE_TARGET, row)) for n, row in enumerate(seq2seq.pairs(6)))
    told = writer_of(Task.TRANSLATION, Shape.DECODER).write(
        Writing(tiny.resolved(), tiny.tokenizer(template), tiny.FACTS), rows
    )
    return [example for example in told if isinstance(example, Example)]


@pytest.mark.parametrize("family", ["llama", "gpt2", "phi3"])
def test_an_answer_is_the_same_alone_and_among_others_and_draws_nothing(family: str) -> None:
    asked = seq2seq.subject(tiny.model(family, seed=6))
    asked.model.set_attn_implementation(attention_of(asked.spec, asked.model.config))
    state, rows = torch.get_rng_state(), examples(tiny.CHATML)
    together = seq2seq.said(RECIPE, asked, rows)
    assert together == [seq2seq.said(RECIPE, asked, [example])[0] for example in rows]
    assert torch.equal(torch.get_rng_state(), state)
    assert any(together)


@pytest.mark.parametrize("template", [None, tiny.CHATML])
def test_a_prompt_is_asked_as_rows_are(template: str | None) -> None:
    asked = seq2seq.subject(tiny.model("llama"))
    asked.tokenizer.chat_template = template
    assert RECIPE.answer is not None
    for row, example in zip(seq2seq.pairs(6), examples(template), strict=True):
        assert RECIPE.answer(asked, row["source"]).strip() == seq2seq.said(RECIPE, asked, [example])[0]
