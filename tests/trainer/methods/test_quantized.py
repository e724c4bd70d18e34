"""A base in four bits: what learns on it, what it weighs, and what is merged into it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.methods.cells import ROWS, by_the_engine, logits_of
from tests.trainer.trainees import CPU, settled

from skipjack.api.v1alpha1.method import MethodType
from skipjack.methods import METHODS as DATA
from skipjack.methods import Base
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.export.merge import merge
from skipjack_trainer.methods import METHODS
from skipjack_trainer.methods.plain import adapted_layers
from skipjack_trainer.model import load_model
from skipjack_trainer.quantize import dense, elements

ABLE = [kind for kind, method in DATA.items() if method.base is not Base.AS_IT_IS]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny.model("llama").save_pretrained(folder)
    return folder


def told(kind: MethodType, precision: str = "FP32", **own: Any) -> ResolvedSpec:
    return settled(
        ROWS,
        DATA[kind].packs,
        method={"type": kind.value, "quantization": {"type": "NF4"}} | own,
        hyperparameters={"maxSteps": 3, "globalBatchSize": 8, "learningRate": 0.02, "warmupRatio": 0},
        compute={"precision": precision, "microBatchTokens": 4096},
        checkpoint={"everySteps": 1000},
    )


@pytest.mark.parametrize("kind", ABLE)
def test_what_may_sit_on_four_bits_learns_there_and_merges_into_what_it_was_trained_on(
    kind: MethodType, base: Path, tmp_path: Path
) -> None:
    spec = told(kind)
    model, losses = by_the_engine(load_model(base, spec, CPU), spec, tmp_path)
    assert losses[-1] < losses[0]
    if DATA[kind].merges:
        model.save_pretrained(tmp_path / "stored")
        merged = merge(load_model(base, spec, CPU), tmp_path / "stored")
        assert {type(module) for module in merged.modules() if "Linear" in type(module).__name__} == {torch.nn.Linear}
        torch.testing.assert_close(logits_of(merged), logits_of(model), rtol=1e-4, atol=1e-5)


def test_qdora_is_qlora_with_dora(base: Path, tmp_path: Path) -> None:
    spec = told(MethodType.QLORA, lora={"dora": True})
    model, losses = by_the_engine(load_model(base, spec, CPU), spec, tmp_path)
    assert losses[-1] < losses[0]
    assert any("lora_magnitude_vector" in name for name, p in model.named_parameters() if p.requires_grad)
    model.save_pretrained(tmp_path / "stored")
    merged = merge(load_model(base, spec, CPU), tmp_path / "stored")
    torch.testing.assert_close(logits_of(merged), logits_of(model), rtol=1e-4, atol=1e-5)


def test_looking_at_held_out_rows_first_does_not_stop_it_from_learning(base: Path, tmp_path: Path) -> None:
    spec = told(MethodType.QLORA, "BF16")
    unseen, expected = by_the_engine(load_model(base, spec, CPU), spec, tmp_path)
    model = load_model(base, spec, CPU)
    with torch.autocast("cpu", torch.bfloat16):
        logits_of(model)
    seen, losses = by_the_engine(model, spec, tmp_path)
    assert losses == expected
    torch.testing.assert_close(logits_of(seen), logits_of(unseen))


def test_linear_layers_weigh_half_a_byte_and_the_rest_is_as_in_the_forward_pass(base: Path) -> None:
    model = load_model(base, told(MethodType.QLORA, "BF16"), CPU)
    linear = [module for name, module in model.named_modules() if name.endswith("_proj")]
    assert linear
    assert all(module.weight.nbytes == module.in_features * module.out_features / 2 for module in linear)
    others = [p for name, p in model.named_parameters() if "_proj" not in name]
    assert {p.dtype for p in others} == {torch.bfloat16}
    assert type(model.lm_head) is torch.nn.Linear


def test_loftq_begins_nearer_to_the_weights_than_quantisation_left_them(base: Path) -> None:
    spec = told(MethodType.LOFTQ)
    model = METHODS[MethodType.LOFTQ].attach(load_model(base, spec, CPU), spec)
    whole = tiny.model("llama")
    for name, layer in adapted_layers(model).items():
        weight, held = whole.get_submodule(name).weight, dense(layer.get_base_layer().weight, torch.float32)
        begun = held + layer.get_delta_weight("default")
        assert (weight - begun).norm() < 0.8 * (weight - held).norm()


def test_a_quantised_models_parameters_are_counted_one_by_one_and_not_as_they_are_packed(base: Path) -> None:
    model = load_model(base, told(MethodType.QLORA), CPU)
    assert sum(map(elements, model.parameters())) == sum(p.numel() for p in tiny.model("llama").parameters())
