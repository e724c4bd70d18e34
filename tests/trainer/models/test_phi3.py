"""Phi-3-mini and -medium by transformers' own class, in the shapes of each published model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.trainees import examples, trainee

from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import accumulate, train
from skipjack_trainer.engine.objective import trained
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.storage.folder import Folder

ROWS = examples(8)
"""Of 5 to 40 tokens: some longer than the tiny models' windows and LongRoPE's limit, some not."""


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("model", tiny.PHI3)
def test_one_batch_of_eight_learns_what_eight_of_one_do(model: str, packing: bool) -> None:
    norms, losses = [], []
    for tokens in (4096, 8):
        compute = {"precision": "FP32", "microBatchTokens": tokens}
        run = trainee(ROWS, model, packing, method={"type": "Full"}, compute=compute)
        for name, parameter in run.model.named_parameters():
            # Fresh weights are so small that who sees whom, from where, hardly shows in a loss.
            if "qkv_proj" in name:
                torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
        losses.append(accumulate(run, range(8), 0, 1.0)[0])
        norms.append(run.strategy.step(1e-3, 1.0, 1.0))
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("method", ["LoRA", "Full"])
@pytest.mark.parametrize("model", tiny.PHI3)
def test_every_model_learns_in_its_fused_projections(model: str, method: str, tmp_path: Path) -> None:
    settings = {"maxSteps": 8, "globalBatchSize": 8, "learningRate": 0.01, "warmupRatio": 0}
    run = trainee(ROWS, model, method={"type": method}, hyperparameters=settings, checkpoint={"everySteps": 1000})
    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in trained(run.model) if ".lora_" in name}
    assert adapted == ({"qkv_proj", "o_proj", "gate_up_proj", "down_proj"} if method == "LoRA" else set())
    checkpoints = Checkpoints(Folder(tmp_path, "test"), "c", 1, 2, tmp_path / "scratch")
    curve = train(run, checkpoints, State(0, [], Before()), Stop(), lambda told: None).curve
    assert curve[-1]["loss"] < 0.99 * curve[0]["loss"]


def test_long_rope_has_its_long_factors_only_where_an_example_is_long() -> None:
    model = tiny.model("phi-3-mini-128k").eval()
    ids = torch.arange(5, 25)[None]
    assert not torch.allclose(model(ids).logits[0, :10], model(ids[:, :10]).logits[0], atol=1e-4)
