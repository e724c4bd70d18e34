"""Sequence-to-sequence models: their own loss, whatever the micro-batches, and answers that no neighbour changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.tasks import seq2seq

from skipjack.api.v1alpha1.dataset import Task
from skipjack_trainer.data.example import PARTS
from skipjack_trainer.shape import Shape
from skipjack_trainer.tasks import RECIPES

RECIPE = RECIPES[Task.TRANSLATION][Shape.ENCODER_DECODER]
ROWS = seq2seq.examples(8, tiny.resolved())


def summed(model: Any, groups: list[list[int]]) -> tuple[float, float, float]:
    """(loss sum, weight, norm of the gradients) of examples in micro-batches."""
    model.zero_grad()
    told = [
        RECIPE.loss(model, RECIPE.batch([ROWS[row] for row in rows], False, seq2seq.CPU), tiny.resolved())
        for rows in groups
    ]
    loss, weight = sum(loss for loss, _ in told), sum(weight for _, weight in told)
    (loss / weight).backward()
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    return loss.item(), weight, norm.item()


@pytest.mark.parametrize("family", seq2seq.FAMILIES)
def test_eight_at_once_are_learnt_as_one_at_a_time(family: str) -> None:
    model = seq2seq.model(family)
    together, apart = summed(model, [list(range(8))]), summed(model, [[row] for row in range(8)])
    assert together == pytest.approx(apart, rel=1e-4)


@pytest.mark.parametrize("family", seq2seq.FAMILIES)
def test_the_loss_of_one_is_the_models_own(family: str) -> None:
    model = seq2seq.model(family)
    for example in ROWS:
        source, target = torch.from_numpy(example.input_ids).long()[None].split(example.beside[PARTS].tolist(), dim=1)
        loss, weight = RECIPE.loss(model, RECIPE.batch([example], False, seq2seq.CPU), tiny.resolved())
        assert loss.item() / weight == pytest.approx(model(input_ids=source, labels=target).loss.item(), rel=1e-5)
        assert weight == target.shape[1]


@pytest.mark.parametrize("family", seq2seq.FAMILIES)
def test_an_answer_is_the_same_alone_and_among_others_and_draws_nothing(family: str) -> None:
    asked = seq2seq.subject(seq2seq.model(family))
    state = torch.get_rng_state()
    together = seq2seq.said(RECIPE, asked, ROWS)
    assert together == [seq2seq.said(RECIPE, asked, [example])[0] for example in ROWS]
    assert torch.equal(torch.get_rng_state(), state)
    assert any(together)


def test_a_prompt_is_asked_as_rows_are() -> None:
    asked = seq2seq.subject(
        seq2seq.model("t5"), dataset={"train": [{"uri": "configmap://d/t.jsonl"}], "instruction": "say: "}
    )
    (example,) = seq2seq.examples(1, asked.spec)
    assert RECIPE.answer is not None
    assert RECIPE.answer(asked, seq2seq.pairs(1)[0]["source"]).strip() == seq2seq.said(RECIPE, asked, [example])[0]
