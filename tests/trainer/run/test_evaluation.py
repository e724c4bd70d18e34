"""Looking at held-out rows on the way: it changes nothing of what is learnt, but where it is asked to decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.trainer import tiny
from tests.trainer.gangs import RESULT, with_processes, workers
from tests.trainer.operators import operator
from tests.trainer.trainees import run_here

from skipjack.protocol import Result
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.errors import Interrupted

LOOKING: dict[str, Any] = {"everySteps": 1, "prompts": ["light 3", "light 4"], "maxNewTokens": 4}
WORSE_AND_WORSE: dict[str, Any] = {
    "hyperparameters": {
        "maxSteps": 8,
        "globalBatchSize": 4,
        "learningRate": 0.9,
        "warmupRatio": 0,
        "scheduler": "Constant",
    },
    "checkpoint": {"everySteps": 100, "keep": 1},
}

LONGER = WORSE_AND_WORSE | {"hyperparameters": WORSE_AND_WORSE["hyperparameters"] | {"maxSteps": 12}}
"""Its held-out loss is least at step 6, for a while."""


def ran(root: Path, stop: Stop | None = None, attempt: int = 1, **changes: Any) -> Result:
    return run_here(tiny.furnish(root, tiny.resolved(**changes)), attempt, stop)


def stored(root: Path) -> dict[str, torch.Tensor]:
    return load_file(root / RESULT / "adapter_model.safetensors")


def card(root: Path) -> str:
    return (root / RESULT / "README.md").read_text()


@pytest.mark.parametrize(
    ("method", "precision"), [("LoRA", "BF16"), ("QLoRA", "BF16"), ("QLoRA", "FP32"), ("AdaLoRA", "FP32")]
)
def test_weights_are_the_same_to_the_last_bit_with_evaluations_and_drawn_answers_and_without(
    method: str, precision: str, tmp_path: Path
) -> None:
    same: dict[str, Any] = {
        "method": {"type": method, "lora": {"dropout": 0.2}},
        "compute": {"precision": precision, "microBatchTokens": 96},
        "hyperparameters": {"maxSteps": 12, "globalBatchSize": 4, "learningRate": 0.01},
    }
    ran(tmp_path / "looking", evaluation=LOOKING | {"temperature": 1.0, "topP": 0.9}, **same)
    ran(tmp_path / "not", **same)
    looking, without = stored(tmp_path / "looking"), stored(tmp_path / "not")
    assert looking.keys() == without.keys()
    assert all(torch.equal(looking[name], without[name]) for name in without)
    assert sum("heldoutLoss" in entry for entry in tiny.curve(tmp_path / "looking")) == 11


def test_the_best_weights_are_stored_although_their_checkpoint_would_be_forgotten(tmp_path: Path) -> None:
    result = ran(tmp_path, evaluation={"everySteps": 1, "keepBest": True}, **WORSE_AND_WORSE)
    losses = [entry["heldoutLoss"] for entry in tiny.curve(tmp_path)]
    best = losses.index(min(losses)) + 1
    assert best < 8, "the last step shall not be the best here"
    assert result.metrics["heldout_loss_after"] == pytest.approx(min(losses), rel=1e-6)
    assert f"stored are the weights of step {best}, the best by Loss" in result.message
    assert len(losses) == 8, "the last step competes too"


def test_training_ends_as_complete_once_nothing_gets_better(tmp_path: Path) -> None:
    result = ran(tmp_path, evaluation={"everySteps": 1, "earlyStopping": {"patience": 2}}, **LONGER)
    losses = [entry["heldoutLoss"] for entry in tiny.curve(tmp_path)]
    best = losses.index(min(losses)) + 1
    assert result.reason is None
    assert (result.step, result.steps) == (best + 2, 12)
    assert result.message.startswith(f"stopped early, after {best + 2} of 12 steps: Loss was best at step {best}")


def test_patience_is_counted_on_after_a_resume(tmp_path: Path) -> None:
    told: dict[str, Any] = {
        "evaluation": {"everySteps": 1, "keepBest": True, "earlyStopping": {"patience": 2}}
    } | LONGER
    expected = ran(tmp_path / "whole", **told)
    attempt = 0
    for attempt in range(1, expected.step):
        stop = Stop()
        stop.leave = True
        with pytest.raises(Interrupted):
            ran(tmp_path / "cut", stop, attempt, **told)
    result = ran(tmp_path / "cut", None, attempt + 1, **told)
    assert (result.step, result.message) == (expected.step, expected.message)
    whole, cut = stored(tmp_path / "whole"), stored(tmp_path / "cut")
    assert all(torch.equal(cut[name], whole[name]) for name in whole)


def test_ranks_give_up_together(tmp_path: Path) -> None:
    told = tiny.resolved(evaluation={"everySteps": 1, "keepBest": True, "earlyStopping": {"patience": 2}}, **LONGER)
    tiny.furnish(tmp_path, with_processes(told, 2))
    outputs = [process.communicate(120)[0] for process in workers(tmp_path)]
    result = json.loads((tmp_path / RESULT / "skipjack.json").read_text())["result"]
    assert result["message"].startswith("stopped early"), outputs


def test_answers_are_drawn_alike_by_each_run_and_otherwise_than_the_likeliest(tmp_path: Path) -> None:
    hot = LOOKING | {"temperature": 1.5, "maxNewTokens": 12}
    for place, asking in (("one", hot), ("two", hot), ("greedy", LOOKING | {"maxNewTokens": 12})):
        ran(tmp_path / place, evaluation=asking)
    one, two, greedy = (
        card(tmp_path / place).partition("## The same prompts")[2] for place in ("one", "two", "greedy")
    )
    assert one == two
    assert one != greedy


def test_progress_tells_what_rows_are_judged_by_and_where_that_was_best(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(evaluation={"everySteps": 2, "keepBest": True}))
    with operator() as seen:
        run_here(tmp_path, progress_url=seen.url)
    looked = {sample.step: sample for sample in seen.taken if sample.metric_value is not None}
    assert looked, "the poster may drop some, never the last"
    assert all(sample.metric == "Loss" and sample.metric_value == sample.heldout_loss for sample in looked.values())
    assert seen.taken[-1].best_step in {2, 4, 6}
