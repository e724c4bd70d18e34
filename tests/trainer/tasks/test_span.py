"""Answers that an encoder finds: the best over all windows of a row, wherever they were read; and none, where none scores higher."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.trainer import tiny
from tests.trainer.data.test_windows import asked, labelled, windows
from tests.trainer.tasks import seq2seq
from transformers import AutoModelForQuestionAnswering

from skipjack.api.v1alpha1.dataset import Task
from skipjack.api.v1alpha1.method import MethodType
from skipjack_trainer.data.example import Example
from skipjack_trainer.data.writers.span import SPAN, WINDOW
from skipjack_trainer.methods import METHODS
from skipjack_trainer.shape import Shape
from skipjack_trainer.tasks import RECIPES
from skipjack_trainer.tasks.span import Found, WindowBatch, best, scores

RECIPE = RECIPES[Task.QUESTION_ANSWERING][Shape.ENCODER]
LONG = " ".join(["hello world"] * 60) + " at noon the light is red"
ROWS = windows([asked("the light is red", "red"), asked(LONG, "at noon"), asked("hello world", None)])


def model() -> Any:
    return tiny.model("bert", head=AutoModelForQuestionAnswering, vocab_size=400)


def summed(model: Any, groups: list[list[Example]]) -> tuple[float, float, float]:
    model.zero_grad()
    told = [RECIPE.loss(model, RECIPE.batch(group, False, seq2seq.CPU), tiny.resolved()) for group in groups]
    loss, weight = sum(loss for loss, _ in told), sum(weight for _, weight in told)
    (loss / weight).backward()
    return (
        loss.item(),
        weight,
        torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm().item(),
    )


def test_windows_at_once_are_learnt_as_one_at_a_time_and_each_counts_once() -> None:
    base = model()
    together, apart = summed(base, [ROWS]), summed(base, [[row] for row in ROWS])
    assert together == pytest.approx(apart, rel=1e-4)
    assert together[1] == len(ROWS) == sum(float(row.weights.sum()) for row in ROWS)


def test_the_loss_of_one_is_the_models_own() -> None:
    base = model()
    for row in ROWS:
        loss, _ = RECIPE.loss(base, RECIPE.batch([row], False, seq2seq.CPU), tiny.resolved())
        first, last = torch.from_numpy(row.beside[SPAN]).long()[:, None]
        ids = torch.from_numpy(row.input_ids).long()[None]
        theirs = base(input_ids=ids, start_positions=first, end_positions=last).loss
        assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)


@pytest.mark.parametrize("longest", [1, 3, 64])
@pytest.mark.parametrize("seed", range(5))
def test_the_best_answer_is_the_best_of_all_that_are_short_enough_and_in_the_context(seed: int, longest: int) -> None:
    draw, window = np.random.default_rng(seed), ROWS[1]
    begins, ends = draw.normal(size=(2, len(window))).astype(np.float32)
    first, last = window.beside[WINDOW][1], len(window) - 1
    all_sums = [begins[b] + ends[e] for b in range(first, last) for e in range(b, min(last, b + longest))]
    found = best(window, begins, ends, longest)
    assert found.score == pytest.approx(max(all_sums))
    assert found.nothing == pytest.approx(begins[0] + ends[0])


def test_what_is_found_are_the_words_of_the_context() -> None:
    for window in ROWS:
        if window.beside[SPAN].any():
            begins, ends = np.zeros((2, len(window)), np.float32)
            begins[window.beside[SPAN][0]] = ends[window.beside[SPAN][1]] = 9.0
            assert best(window, begins, ends, 64).text == labelled(window)


def test_a_row_is_answered_by_its_best_window_and_by_none_where_every_window_says_so() -> None:
    long = [row for row in ROWS if row.place == "a.jsonl:2"]
    wrong, right = Found(9.0, 1.0, "hello"), Found(-9.0, 5.0, "at noon")
    found = [Found(-9.0, 1.0, "red"), *[wrong] * (len(long) - 1), right, Found(9.0, 1.0, "world")]
    assert RECIPE.score(ROWS, found, ()) == {"f1": 1.0, "exact_match": 1.0}
    found[-2] = Found(6.0, 5.0, "at noon")
    assert RECIPE.score(ROWS, found, ())["exact_match"] == pytest.approx(2 / 3)


def test_windows_of_rows_from_files_of_one_name_are_kept_apart() -> None:
    rows = windows([asked("the light is red", "red")]) + windows([asked("the light is green", "green")])
    assert rows[0].place == rows[1].place
    found = [Found(0, 1, "red"), Found(0, 9, "green")]
    assert RECIPE.score(rows, found, ())["exact_match"] == 1.0


def test_where_every_row_has_an_answer_none_is_left_unanswered() -> None:
    rows = windows([asked("the light is red", "red")])
    assert RECIPE.score(rows, [Found(9.0, 1.0, "red")], ()) == {"f1": 1.0, "exact_match": 1.0}


def test_an_answer_is_the_same_alone_and_among_others_and_draws_nothing() -> None:
    subject = seq2seq.subject(model(), Task.QUESTION_ANSWERING)
    state = torch.get_rng_state()
    together = seq2seq.said(RECIPE, subject, ROWS)
    for row, found in zip(ROWS, together, strict=True):
        (alone,) = seq2seq.said(RECIPE, subject, [row])
        assert alone.text == found.text
        assert (alone.score, alone.nothing) == pytest.approx((found.score, found.nothing), abs=1e-5)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_model_with_an_adapter_is_told_which_text_each_token_is_of() -> None:
    base = tiny.model("bert", head=AutoModelForQuestionAnswering)
    inputs = {"input_ids": torch.arange(5, 13)[None], "attention_mask": torch.ones(1, 8, dtype=torch.int64)}
    kinds = [torch.zeros(1, 8, dtype=torch.int64), torch.ones(1, 8, dtype=torch.int64)]
    spans = torch.zeros(1, 2, dtype=torch.int64)
    batches = [WindowBatch(inputs | {"token_type_ids": kind}, spans) for kind in kinds]
    plain = [scores(base.eval(), batch)[0] for batch in batches]
    assert not torch.equal(*plain)
    adapted = METHODS[MethodType.LORA].attach(base, tiny.resolved()).eval()
    for batch, expected in zip(batches, plain, strict=True):
        torch.testing.assert_close(scores(adapted, batch)[0], expected)
