"""The closed forms against live tensors and torch's own count of operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.gangs import RESULT
from tests.trainer.trainees import CPU, base_of, example, run_here, settled, trainee
from torch.utils.flop_counter import FlopCounterMode

from skipjack.api.v1alpha1.compute import Strategy
from skipjack.planner import full_peak_bytes, state_bytes, stored_bytes, training_flops
from skipjack_trainer.export.needs import Size
from skipjack_trainer.methods import METHODS
from skipjack_trainer.model import load_model
from skipjack_trainer.quantize import held_bytes

LONG = [example(40, seed, learnt=1.0) for seed in range(4)]
LINEAR = {"mm", "addmm"}
"""Multiplications with weights; attention's of tokens with tokens go by other names."""


def counted(model: Any, tokens: torch.Tensor) -> float:
    """Operations of multiplications with weights in one forward and backward pass, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        model(tokens, use_cache=False).logits.float().logsumexp(-1).sum().backward()
    kinds = counter.get_flop_counts()["Global"]
    return float(sum(count for kind, count in kinds.items() if str(kind).removeprefix("aten.") in LINEAR))


@pytest.mark.parametrize("tied", [False, True])
def test_full_fine_tuning_takes_six_operations_a_parameter_and_token(tied: bool) -> None:
    model = tiny.model("llama", tie_word_embeddings=tied)
    size = Size.of(model)
    tokens = torch.randint(5, 400, (2, 40))
    # Norms multiply too, but elementwise, which torch doesn't count: a quarter per cent of this model.
    assert training_flops(0, size.multiplied, tokens.numel()) == pytest.approx(counted(model, tokens), rel=5e-3)
    assert size.parameters - size.multiplied == (0 if tied else 400 * 32)


def test_an_adapter_takes_six_and_the_frozen_rest_four() -> None:
    model = tiny.model("llama", num_hidden_layers=12)
    size = Size.of(model)
    spec = settled(LONG, method={"type": "LoRA", "lora": {"rank": 2}})
    adapted = METHODS[spec.method.type].attach(model, spec)
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    tokens = torch.randint(5, 400, (2, 40))
    expected = training_flops(size.multiplied, trained, tokens.numel())
    # Nothing before the first layer learns: the gradients of what comes into it are not taken.
    assert counted(adapted, tokens) == pytest.approx(expected, rel=0.03)
    assert expected < 0.8 * training_flops(0, size.multiplied, tokens.numel())


@pytest.mark.parametrize("method", ["Full", "LoRA", "DoRA", "IA3"])
def test_state_is_sixteen_bytes_a_trained_parameter_and_the_frozen_ones_as_they_are(method: str) -> None:
    run = trainee(LONG, method={"type": method})
    base = Size.of(tiny.model("llama"))
    loss, _ = run.loss(LONG)
    loss.backward()
    held = sum(p.nbytes + (p.grad.nbytes if p.grad is not None else 0) for p in run.model.parameters())
    held += sum(
        tensor.nbytes for _, state in run.strategy.states() for name, tensor in state.items() if name != "weight"
    )
    frozen = 0 if method == "Full" else base.held_bytes
    assert state_bytes(frozen, run.strategy.objective.trainable_parameters) == held


def test_strategies_share_out_the_state_as_the_paper_has_it() -> None:
    """ZeRO's figure 1, with 16 bytes a parameter, of which 8 are the moments', on 64 processes."""
    shared = {strategy: state_bytes(0, 64_000, strategy, 64) / 64_000 for strategy in Strategy}
    assert shared == pytest.approx({"DDP": 16, "ZeRO1": 8 + 8 / 64, "ZeRO2": 4 + 12 / 64, "ZeRO3": 16 / 64})
    assert state_bytes(1000, 0, Strategy.ZERO2, 4) == 1000
    assert state_bytes(1000, 0, Strategy.ZERO3, 4) == 250


def test_a_quantised_base_is_held_as_bitsandbytes_holds_it(tmp_path: Path) -> None:
    tiny.model("llama").save_pretrained(tmp_path)
    told = trainee(LONG).spec
    held = {}
    for double in (True, False):
        settings = {"type": "QLoRA", "quantization": {"type": "NF4", "doubleQuant": double}}
        quantized = told.model_copy(update={"method": tiny.resolved(method=settings).method})
        model = load_model(tmp_path, quantized, CPU)
        layer = model.model.layers[0].mlp.up_proj
        held[double] = held_bytes(layer.weight)
        assert Size.of(model).parameters == Size.of(tiny.model("llama")).parameters
    elements, blocks = 32 * 64, 32 * 64 // 64
    assert held == {False: elements // 2 + 4 * blocks, True: elements // 2 + blocks + 4}


def test_what_full_would_have_held_is_what_full_holds() -> None:
    """Of a run without activations: the state alone."""
    base, lora = Size.of(base_of(trainee(LONG).spec, "llama", torch.float32)), trainee(LONG)
    trained = lora.strategy.objective.trainable_parameters
    measured = state_bytes(base.held_bytes, trained) + 5000
    assert full_peak_bytes(measured, base.held_bytes, trained, base.parameters) == 16 * base.parameters + 5000


def test_every_job_tells_what_it_needed_beside_full(tmp_path: Path) -> None:
    told = tiny.resolved(method={"type": "LoRA", "lora": {"rank": 2}})
    result = run_here(tiny.furnish(tmp_path / "lora", told))
    full = run_here(tiny.furnish(tmp_path / "full", tiny.resolved(method={"type": "Full"})))
    lora = result.metrics
    assert lora["full_trainable_parameters"] == full.metrics["trainable_parameters"]
    assert lora["full_flops"] == full.metrics["flops"]
    assert lora["flops"] < 0.8 * lora["full_flops"]
    stored = (tmp_path / "full" / RESULT / "model.safetensors").stat().st_size
    assert stored_bytes(int(full.metrics["trainable_parameters"])) == pytest.approx(stored, rel=0.02)
    assert lora["output_mib"] < 0.2 * lora["full_output_mib"]
    assert lora["trainable_percent"] == 100 * lora["trainable_parameters"] / lora["total_parameters"]
    curve = tiny.curve(tmp_path / "lora")
    assert lora["tokens_per_second"] == pytest.approx(lora["tokens"] / sum(e["seconds"] for e in curve), abs=0.1)
    assert 0 < lora["cpu_seconds"] < 100
    assert not any(name.startswith("full_") for name in full.metrics)
    card = (tmp_path / "lora" / RESULT / "README.md").read_text()
    assert "| what | LoRA | Full would have | share |" in card
    assert "Full would have" not in (tmp_path / "full" / RESULT / "README.md").read_text()


def test_all_of_it_fits_into_a_termination_message(tmp_path: Path) -> None:
    result = run_here(tiny.furnish(tmp_path, tiny.resolved()))
    many = {f"heldout_{name}_{when}": 0.1234567890123 for name in "abcdefghijkl" for when in ("before", "after")}
    whole = result.model_copy(update={"metrics": result.metrics | many})
    assert type(result).model_validate_json(whole.encode()) == whole
    assert len(whole.metrics) <= 64
