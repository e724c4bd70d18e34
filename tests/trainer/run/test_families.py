"""Families beside those of the table of methods: they learn, and stock PEFT and transformers load what was stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.methods.cells import COLUMNS
from tests.trainer.trainees import examples, trainee

from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import train
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.trainee import Trainee
from skipjack_trainer.model import PACKS
from skipjack_trainer.storage.folder import Folder

ROWS = examples(8)
OTHERS = sorted(set(tiny.FAMILIES) - {column.family for column in COLUMNS})
LEARNS_FAST: dict[str, Any] = {"maxSteps": 12, "globalBatchSize": 8, "learningRate": 0.01, "warmupRatio": 0}


def trained(family: str, method: str, precision: str, folder: Path) -> tuple[Trainee, list[float]]:
    """The run and its losses."""
    run = trainee(
        ROWS,
        family,
        family in PACKS,
        method={"type": method},
        hyperparameters=LEARNS_FAST,
        compute={"precision": precision, "microBatchTokens": 4096},
        checkpoint={"everySteps": 1000},
    )
    checkpoints = Checkpoints(Folder(folder, "test"), "c", 1, 2, folder / "scratch")
    ended = train(run, checkpoints, State(0, [], Before()), Stop(), lambda told: None)
    return run, [entry["loss"] for entry in ended.curve]


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    ids = torch.from_numpy(ROWS[7].input_ids).long()[None]
    found: torch.Tensor = model.eval()(ids, use_cache=False).logits
    return found


@pytest.mark.parametrize("family", OTHERS)
def test_an_adapter_learns_and_is_what_stock_peft_loads(family: str, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = tiny.model(family)
    base.save_pretrained(tmp_path / "base")
    run, losses = trained(family, "LoRA", "FP32", tmp_path)
    assert losses[-1] < 0.98 * losses[0]
    run.model.save_pretrained(tmp_path / "out")
    fresh = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    untouched = logits(fresh)
    tuned = PeftModel.from_pretrained(fresh, str(tmp_path / "out"))
    torch.testing.assert_close(logits(tuned), logits(run.model))
    assert (logits(tuned) - untouched).abs().max() > 1e-3
    with tuned.disable_adapter():
        torch.testing.assert_close(logits(tuned), untouched)
    assert (tmp_path / "out/adapter_model.safetensors").stat().st_size < 200_000


@pytest.mark.parametrize("family", OTHERS)
def test_a_whole_model_learns_and_is_what_stock_transformers_loads(family: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    tiny.model(family).save_pretrained(tmp_path / "base")
    run, losses = trained(family, "Full", "FP32", tmp_path)
    assert losses[-1] < 0.9 * losses[0]
    run.model.save_pretrained(tmp_path / "out")
    tuned = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    torch.testing.assert_close(logits(tuned), logits(run.model))
    before, after = (json.loads((tmp_path / place / "config.json").read_text()) for place in ("base", "out"))
    assert after == before, "what tuning has no business with stays"
