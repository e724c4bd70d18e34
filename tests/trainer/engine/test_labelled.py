"""Losses of tasks with labels: no choice of hardware and no padding changes them, and weights count as torch's own do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from seqeval.metrics import f1_score as entity_f1_score
from seqeval.scheme import IOB2
from sklearn.metrics import accuracy_score, f1_score
from tests.trainer import tiny
from tests.trainer.labelling import LABELS, OF_ONE, OF_SEVERAL, TAGGED, TAGS, model, trainee, written
from tests.trainer.trainees import CPU

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack_trainer.data.example import Example
from skipjack_trainer.engine.evaluate import evaluate
from skipjack_trainer.engine.loop import accumulate
from skipjack_trainer.engine.trainee import Trainee
from skipjack_trainer.shape import Shape
from skipjack_trainer.tasks import classes, tags
from skipjack_trainer.tasks.labelled import logits, settle_padding
from skipjack_trainer.tasks.measures.labels import macro_f1, micro_f1

TEXT, TOKENS = Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION
CASES: dict[str, tuple[Task, tuple[dict[str, Any], ...], RowFormat, tuple[str, ...]]] = {
    "one class": (TEXT, OF_ONE, RowFormat.TEXT_LABEL, LABELS),
    "several classes": (TEXT, OF_SEVERAL, RowFormat.TEXT_LABELS, LABELS),
    "tags": (TOKENS, TAGGED, RowFormat.TOKENS_TAGS, TAGS),
}
FULL = {"method": {"type": "Full"}}


def shape_of(family: str) -> Shape:
    return Shape.ENCODER if family in ("bert", "roberta", "distilbert") else Shape.DECODER


def run_of(case: str, family: str, **changes: Any) -> Trainee:
    task, rows, layout, labels = CASES[case]
    weights = None if case == "several classes" else [1.0, 3.0, 0.5]
    examples = written(rows, layout, labels, shape_of(family), weights)
    return trainee(examples, task, family, labels, **changes)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "llama", "gpt2"])
def test_one_batch_of_eight_learns_what_eight_of_one_do(family: str, case: str) -> None:
    seen = []
    for tokens in (4096, 8):
        run = run_of(case, family, **FULL, compute={"precision": "FP32", "microBatchTokens": tokens})
        assert len(run.groups(run.train, range(8))) == (1 if tokens == 4096 else 8)
        loss, weight, _ = accumulate(run, range(8), 0, 1.0)
        seen.append((loss, weight, run.strategy.step(1e-3, 1.0, 1.0)))
    assert seen[0] == pytest.approx(seen[1], rel=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("method", ["Full", "PromptTuning", "PTuning", "PrefixTuning"])
@pytest.mark.parametrize("family", ["bert", "roberta", "llama", "gpt2", "qwen2"])
def test_padding_changes_no_logits(family: str, method: str) -> None:
    run = run_of("one class", family, method={"type": method})
    run.model.eval()
    together = logits(run.model, classes.batch(run.train, False, CPU))
    alone = torch.cat([logits(run.model, classes.batch([example], False, CPU)) for example in run.train])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_head_of_a_causal_model_looks_at_the_last_token_of_the_text(family: str) -> None:
    run = run_of("one class", family, **FULL)
    run.model.eval()
    example = run.train[0]
    base = run.model.base_model(torch.tensor(example.input_ids[None].astype(np.int64))).last_hidden_state
    torch.testing.assert_close(
        logits(run.model, classes.batch(run.train, False, CPU))[:1], run.model.score(base[:, -1]), rtol=1e-4, atol=1e-5
    )


def test_padding_that_a_model_knows_stays_and_an_end_stands_in_where_none_is_known() -> None:
    words = tiny.tokenizer()
    config = model("llama", TEXT, 3).config
    config.pad_token_id = 7
    settle_padding(config, words)
    assert config.pad_token_id == 7
    for known in (words.pad_token_id, words.eos_token_id):
        config.pad_token_id = None
        settle_padding(config, words)
        assert config.pad_token_id == known
        words.pad_token = None


@torch.no_grad()
@pytest.mark.parametrize("case", ["one class", "tags"])
def test_classes_weigh_as_in_torchs_own_loss(case: str) -> None:
    task, _, _, labels = CASES[case]
    run = run_of(case, "bert", **FULL)
    recipe = run.recipe
    batch = recipe.batch(run.train, False, CPU)
    total, weight = recipe.loss(run.model, batch, run.spec)
    told, targets = logits(run.model, batch), batch.targets
    if task is TOKENS:
        told, targets = told.transpose(1, 2), targets.where(batch.weights > 0, -100)
    judge = torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0, 0.5]))(told, targets)
    assert float(total) / weight == pytest.approx(float(judge), rel=1e-5)
    assert len(labels) == 3


@torch.no_grad()
def test_the_loss_of_several_classes_is_torchs_own() -> None:
    run = run_of("several classes", "bert", **FULL)
    batch = classes.batch(run.train, False, CPU)
    total, weight = classes.loss(run.model, batch, run.spec)
    judge = torch.nn.BCEWithLogitsLoss()(logits(run.model, batch), batch.targets)
    assert float(total) / weight == pytest.approx(float(judge), rel=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_measuring_draws_nothing_and_is_the_same_in_any_micro_batches(case: str) -> None:
    seen = []
    for tokens in (4096, 8):
        run = run_of(case, "bert", **FULL, compute={"precision": "FP32", "microBatchTokens": tokens})
        state = torch.get_rng_state()
        seen.append(evaluate(run, run.train))
        assert torch.equal(state, torch.get_rng_state())
    assert seen[0] == pytest.approx(seen[1], rel=1e-5)
    assert {"loss", "accuracy", "f1"} <= set(seen[0])


def drawn(several: bool) -> tuple[list[list[int]], list[list[int]]]:
    chance = np.random.default_rng(3)
    if several:
        return tuple([np.flatnonzero(row).tolist() for row in chance.random((60, 5)) < 0.3] for _ in range(2))  # type: ignore[return-value]
    return tuple([[int(number)] for number in chance.integers(0, 6, 60)] for _ in range(2))  # type: ignore[return-value]


def indicators(rows: list[list[int]]) -> Any:
    return np.array([[number in row for number in range(5)] for row in rows], int)


def test_measures_of_one_class_are_scikit_learns() -> None:
    expected, said = drawn(several=False)
    examples = [example_of(np.array(row, np.int32), "class") for row in expected]
    told = classes.score(examples, said, tuple("abcdef"))
    one, other = ([number for (number,) in rows] for rows in (expected, said))
    assert told["f1"] == pytest.approx(f1_score(one, other, average="macro"))
    assert told["accuracy"] == pytest.approx(accuracy_score(one, other))


def test_measures_of_several_classes_are_scikit_learns() -> None:
    expected, said = drawn(several=True)
    one, other = indicators(expected), indicators(said)
    told = classes.score([example_of(row.astype(np.uint8), "classes") for row in one], said, tuple("abcde"))
    assert told["f1"] == pytest.approx(f1_score(one, other, average="micro"))
    assert told["f1_macro"] == pytest.approx(f1_score(one, other, average="macro"))
    assert told["accuracy"] == pytest.approx(accuracy_score(one, other))


def test_where_nothing_is_there_and_nothing_is_said_f1_is_nought() -> None:
    assert micro_f1([[]], [[]]) == macro_f1([[]], [[]], range(2)) == 0
    assert tags.score([example_of(np.array([0, 0]), "tags")], [[0, 0]], TAGS) == {"accuracy": 1, "f1": 0}


def test_entities_are_judged_whole_and_strictly() -> None:
    expected, said = [1, 2, 0, 1, 2], [1, 2, 0, 2, 2]
    told = tags.score([example_of(np.array(expected), "tags")], [said], TAGS)
    names = [[[TAGS[number] for number in row]] for row in (expected, said)]
    assert told["f1"] == pytest.approx(entity_f1_score(*names, mode="strict", scheme=IOB2)) == pytest.approx(2 / 3)
    assert told["accuracy"] == pytest.approx(0.8)


def example_of(target: Any, name: str) -> Example:
    length = len(target) if name == "tags" else 1
    return Example(np.zeros(length, np.int32), np.ones(length, np.float32), "", {name: target})
