"""The loop against transformers' own Trainer, and where it ends."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.trainees import examples, trainee

from skipjack.api.v1alpha1.learning import Scheduler
from skipjack.mixture import Mixture
from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import Told, factor, train
from skipjack_trainer.engine.order import step_examples
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.trainee import Trainee
from skipjack_trainer.errors import Diverged
from skipjack_trainer.storage.folder import Folder

ROWS = examples(24)
RATE = 0.003
"""At 0.01 two orders of adding up the same numbers in fp32 are 0.3 % apart in the norm after six steps."""


def trained_by_us(run: Trainee, scratch: Path) -> list[dict[str, float]]:
    checkpoints = Checkpoints(Folder(scratch, "test"), "c", 1, 2, scratch / "scratch")
    told: list[Told] = []
    return train(run, checkpoints, State(0, [], Before()), Stop(), told.append).curve


@pytest.mark.parametrize("scheduler", list(Scheduler))
def test_losses_are_those_of_transformers_trainer(scheduler: Scheduler, tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    settings = {
        "maxSteps": 6,
        "globalBatchSize": 4,
        "learningRate": RATE,
        "scheduler": scheduler,
        "warmupRatio": 0.0,
        "weightDecay": 0.1,
    }
    run = trainee(ROWS, "llama", method={"type": "Full"}, hyperparameters=settings)
    order = [index for step in range(6) for index in step_examples(step, 4, Mixture.plain(len(ROWS)), 42, 24)]
    ours = trained_by_us(run, tmp_path)

    rows = [
        {
            "input_ids": torch.from_numpy(ROWS[i].input_ids).long(),
            "labels": torch.from_numpy(ROWS[i].input_ids).long().where(torch.from_numpy(ROWS[i].weights) > 0, -100),
        }
        for i in order
    ]

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: object) -> torch.utils.data.Sampler[int]:
            return torch.utils.data.SequentialSampler(rows)  # type: ignore[arg-type]

    arguments = TrainingArguments(
        output_dir=str(tmp_path), max_steps=6, per_device_train_batch_size=1, gradient_accumulation_steps=4, learning_rate=RATE,
        weight_decay=0.1, lr_scheduler_type=scheduler.value.lower(), logging_steps=1, report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    judge = InOrder(tiny.model("llama"), arguments, train_dataset=rows)  # type: ignore[arg-type]
    # It spares biases and norms from weight decay; the comparison is of the loop, so it gets the one group that we have.
    judge.optimizer = torch.optim.AdamW(judge.model.parameters(), lr=RATE, weight_decay=0.1)
    judge.train()
    theirs = [entry for entry in judge.state.log_history if "grad_norm" in entry]
    assert [e["loss"] for e in ours] == pytest.approx([float(e["loss"]) for e in theirs], abs=2e-4)
    assert [e["gradNorm"] for e in ours] == pytest.approx([float(e["grad_norm"]) for e in theirs], rel=1e-3)


@pytest.mark.parametrize(("rows", "epochs"), [(24, 0.1), (24, 0.3), (10, 1.0), (7, 2.5), (1, 0.01)])
def test_every_step_has_examples_and_an_epoch_has_each_row_once(rows: int, epochs: float, tmp_path: Path) -> None:
    run = trainee(ROWS[:rows], hyperparameters={"epochs": epochs, "learningRate": 1e-3})
    curve = trained_by_us(run, tmp_path)
    assert len(curve) == run.spec.hyperparameters.max_steps
    assert all(entry["tokens"] > 0 for entry in curve)
    lengths = sum(len(row) for row in ROWS[:rows])
    if epochs == 1.0:
        assert sum(entry["tokens"] for entry in curve) == lengths


def test_a_rate_that_explodes_fails_instead_of_storing_nonsense(tmp_path: Path) -> None:
    run = trainee(ROWS, method={"type": "Full"})
    with torch.no_grad():
        next(run.model.parameters())[7] = math.nan
    rows_with_it = [row for row in ROWS if 7 in row.input_ids]
    assert rows_with_it or ROWS[0].input_ids[0] != 7
    ROWS[0].input_ids[0] = 7
    with pytest.raises(Diverged, match=r"learningRate.*last good checkpoint"):
        trained_by_us(run, tmp_path)


def test_warm_up_rises_and_every_schedule_begins_at_the_peak() -> None:
    for scheduler in Scheduler:
        rates = [factor(step, 20, 0.25, scheduler) for step in range(20)]
        assert rates[:5] == pytest.approx([n / 6 for n in range(1, 6)])
        assert rates[5] == 1.0
        assert all(a >= b for a, b in pairwise(rates[5:]))
    assert factor(19, 20, 0.25, Scheduler.CONSTANT) == 1.0


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_all_linear_layers_but_the_head_are_adapted(family: str) -> None:
    run = trainee(ROWS, family, method={"type": "LoRA"})
    adapted = {
        name.split(".lora_")[0].rpartition(".")[2] for name, p in run.model.named_parameters() if p.requires_grad
    }
    expected = {
        "phi3": {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"},
        "phi3small": {"query_key_value", "dense", "up_proj", "down_proj"},
        "gpt2": {"c_attn", "c_proj", "c_fc"},
    }
    usual = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert adapted == expected.get(family, usual)
