"""Phi-3-mini and -medium by transformers' own class, in the shapes of each published variant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.trainees import examples, settled

from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import Trainee, accumulate, make_optimizer, train, trained
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.strategy import Single
from skipjack_trainer.methods import METHODS
from skipjack_trainer.storage.folder import Folder

ROWS = examples(8)
LONG_ROPE: dict[str, Any] = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.2, 1.3, 1.5, 1.8, 2.0, 2.5],
    "long_factor": [1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 16.0], "original_max_position_embeddings": 16,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "mini-4k": {"sliding_window": 8},
    "mini-128k": {"rope_parameters": LONG_ROPE, "original_max_position_embeddings": 16},
    "medium-4k": {"sliding_window": 8, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 8, "rope_parameters": None},
    "medium-128k": {
        "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 8, "original_max_position_embeddings": 16,
        "rope_parameters": LONG_ROPE | {"short_factor": [1.0, 1.2, 1.5, 2.0], "long_factor": [1.0, 2.0, 5.0, 16.0]},
    },
}  # fmt: skip


def trainee(variant: str, method: str, packing: bool = True, micro_batch_tokens: int = 4096) -> Trainee:
    """Examples of 5 to 40 tokens: some longer than windows and LongRoPE's limit, some not."""
    settings = {"maxSteps": 8, "globalBatchSize": 8, "learningRate": 0.01, "warmupRatio": 0}
    told = settled(
        ROWS,
        packing,
        method={"type": method},
        hyperparameters=settings,
        compute={"precision": "FP32", "microBatchTokens": micro_batch_tokens},
        checkpoint={"everySteps": 1000},
    )
    model = tiny.model("phi3", **VARIANTS[variant])
    return Trainee(METHODS[told.method.type](model, told), told, ROWS, [], Single(), torch.device("cpu"))


@pytest.mark.parametrize("packing", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_one_batch_of_eight_learns_what_eight_of_one_do(variant: str, packing: bool) -> None:
    norms, losses = [], []
    for tokens in (4096, 8):
        run = trainee(variant, "Full", packing, tokens)
        for name, parameter in run.model.named_parameters():
            # Fresh weights are so small that who sees whom, from where, hardly shows in a loss.
            if "qkv_proj" in name:
                torch.nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(1))
        loss, _, _, norm = accumulate(run, range(8), 0, [p for _, p in trained(run.model)])
        norms.append(norm)
        losses.append(loss)
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("method", ["LoRA", "Full"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_learns_in_its_fused_projections(variant: str, method: str, tmp_path: Path) -> None:
    run = trainee(variant, method)
    adapted = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in trained(run.model) if ".lora_" in name}
    assert adapted == ({"qkv_proj", "o_proj", "gate_up_proj", "down_proj"} if method == "LoRA" else set())
    checkpoints = Checkpoints(Folder(tmp_path, "test"), "c", 1, 2, tmp_path / "scratch")
    start = State(0, [], Before())
    curve = train(run, make_optimizer(run.model, run.spec), checkpoints, start, Stop(), lambda told: None).curve
    assert curve[-1]["loss"] < 0.99 * curve[0]["loss"]


def test_long_rope_has_its_long_factors_only_where_an_example_is_long() -> None:
    model = tiny.model("phi3", **VARIANTS["mini-128k"]).eval()
    ids = torch.arange(5, 25)[None]
    assert not torch.allclose(model(ids).logits[0, :10], model(ids[:, :10]).logits[0], atol=1e-4)
