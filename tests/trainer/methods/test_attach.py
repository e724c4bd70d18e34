"""What a method makes of a model: which parameters, in which precision, at which rate; and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.trainer import tiny
from tests.trainer.methods.cells import ROWS, by_the_engine, logits_of
from tests.trainer.trainees import CPU, run_here, settled, trainee
from torch.nn.functional import cross_entropy

from skipjack.api.v1alpha1.method import MethodType
from skipjack.methods import METHODS as DATA
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.engine.trainee import make_optimizer
from skipjack_trainer.errors import ConfigurationInvalid
from skipjack_trainer.export.merge import merge
from skipjack_trainer.methods import METHODS
from skipjack_trainer.methods.boft import BlockDiagonal
from skipjack_trainer.model import load_model


def told(kind: str, precision: str = "FP32", steps: int = 3, **own: Any) -> ResolvedSpec:
    return settled(
        ROWS,
        DATA[MethodType(kind)].packs,
        method={"type": kind} | own,
        hyperparameters={"maxSteps": steps, "globalBatchSize": 8, "learningRate": 0.01, "warmupRatio": 0},
        compute={"precision": precision, "microBatchTokens": 4096},
        checkpoint={"everySteps": 1000},
    )


def small(kind: MethodType) -> dict[str, Any]:
    return {"lora": {"rank": 4}} if kind is MethodType.SHIRA else {}


@pytest.mark.parametrize("kind", list(MethodType))
def test_in_bf16_what_is_trained_is_fp32_and_learns_as_in_fp32(kind: MethodType, tmp_path: Path) -> None:
    tiny.model("llama").save_pretrained(tmp_path / "base")
    curves = {}
    for precision in ("FP32", "BF16"):
        spec = told(kind.value, precision, **small(kind))
        model, curves[precision] = by_the_engine(load_model(tmp_path / "base", spec, CPU), spec, tmp_path)
        assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}
    assert curves["BF16"] == pytest.approx(curves["FP32"], rel=0.01)


def test_a_new_head_is_trained_whole_and_in_fp32_on_a_base_in_bf16() -> None:
    base = tiny.model("bert", head=transformers.AutoModelForSequenceClassification).bfloat16()
    model = METHODS[MethodType.LORA].attach(base, told("LoRA"))
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert {p.dtype for p in trained.values()} == {torch.float32}
    assert [name for name in trained if "classifier.modules_to_save.default.weight" in name]
    assert not [name for name in trained if "classifier" in name and "lora_" in name]


def test_lora_plus_learns_b_at_the_ratio_and_a_at_the_rate() -> None:
    run = trainee(ROWS, method={"type": "LoRAPlus", "lora": {"learningRateRatio": 8}})
    rates = {group["rate_factor"]: len(group["params"]) for group in make_optimizer(run.model, run.spec).param_groups}
    assert rates == {1.0: 14, 8.0: 14}
    run.strategy.step(0.5, 1.0, 1.0)
    assert {group["lr"] for group in run.strategy.optimizer.param_groups} == {0.5, 4.0}  # type: ignore[attr-defined]


def test_every_factor_of_boft_is_learnt_and_merges(tmp_path: Path) -> None:
    tiny.model("llama").save_pretrained(tmp_path / "base")
    spec = told("BOFT", orthogonal={"butterflyFactors": 2})
    model, losses = by_the_engine(load_model(tmp_path / "base", spec, CPU), spec, tmp_path)
    assert losses[-1] < losses[0]
    learnt = [p for name, p in model.named_parameters() if "boft_R" in name]
    assert all(p.shape[0] == 2 and p[0].any() and p[1].any() for p in learnt)
    model.save_pretrained(tmp_path / "stored")
    merged = merge(load_model(tmp_path / "base", spec, CPU), tmp_path / "stored")
    torch.testing.assert_close(logits_of(merged), logits_of(model), rtol=1e-4, atol=1e-5)


def test_blocks_spread_out_are_those_of_torch_and_so_are_their_gradients() -> None:
    blocks = torch.randn(2, 3, 4, 4, requires_grad=True)
    expected = torch.stack([torch.block_diag(*factor) for factor in blocks])
    gradient = torch.randn_like(expected)
    (wanted,) = torch.autograd.grad(expected, blocks, gradient)
    assert torch.equal(BlockDiagonal.forward(blocks.detach())[0], expected)
    assert torch.equal(BlockDiagonal.backward(gradient, blocks)[0], wanted)


def test_adalora_ends_with_the_rank_that_was_asked_for_on_average(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    spec = told("AdaLoRA", steps=6, lora={"rank": 4})
    model, _ = by_the_engine(tiny.model(), spec, tmp_path)
    model.save_pretrained(tmp_path / "stored")
    stored = load_file(tmp_path / "stored/adapter_model.safetensors")
    ranks = [len(tensor) for name, tensor in stored.items() if "lora_A" in name]
    assert sum(ranks) == pytest.approx(4 * len(ranks), abs=2)
    assert len(set(ranks)) > 1


def test_adalora_keeps_its_factors_near_to_orthogonal() -> None:
    model = METHODS[MethodType.ADALORA].attach(tiny.model(), told("AdaLoRA"))
    before = METHODS[MethodType.ADALORA].penalty(model)
    assert isinstance(before, torch.Tensor)
    before.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    assert METHODS[MethodType.ADALORA].penalty(model) < before


def test_adalora_needs_steps_to_judge_by() -> None:
    with pytest.raises(ConfigurationInvalid, match=r"method\.type: AdaLoRA needs 2 steps or more"):
        METHODS[MethodType.ADALORA].attach(tiny.model(), told("AdaLoRA", steps=1))


@pytest.mark.parametrize("kind", ["PiSSA", "OLoRA"])
def test_a_rank_beyond_the_smallest_layer_cannot_be_taken_out_of_it(kind: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=r"method\.lora\.rank: 64 .* set it to 32 or less"):
        METHODS[MethodType(kind)].attach(tiny.model(), told(kind, lora={"rank": 64}))


@pytest.mark.parametrize(
    ("kind", "own", "said"),
    [
        ("LoRA", {"lora": {"targetModules": ["q_proj", "query"]}}, "lora.targetModules: this model has no query below"),
        ("LoRA", {"lora": {"targetModules": ["lm_head"]}}, "lora.targetModules: this model has no lm_head below"),
        (
            "OFT",
            {"orthogonal": {"targetModules": ["dense"]}},
            "orthogonal.targetModules: this model has no dense below",
        ),
        ("IA3", {"ia3": {"targetModules": ["dense"]}}, "ia3.targetModules: this model has no dense below"),
        ("SHiRA", {"lora": {"rank": 1024}}, "lora: "),
    ],
)
def test_what_does_not_fit_the_model_is_refused_with_the_layers_there_are(
    kind: str, own: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationInvalid, match=rf"method\.{said}.*layers are down_proj.*q_proj"):
        METHODS[MethodType(kind)].attach(tiny.model(), told(kind, **own))


def test_ia3_names_the_layers_it_cannot_tell_apart() -> None:
    class Strange(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixer = torch.nn.Linear(4, 4)

        def get_output_embeddings(self) -> None:
            return None

    with pytest.raises(ConfigurationInvalid, match=r"method\.ia3\.targetModules: .* Its linear layers are mixer"):
        METHODS[MethodType.IA3].attach(Strange(), told("IA3"))


@pytest.mark.parametrize(
    ("family", "expected"),
    [("phi3", {"qkv_proj", "down_proj"}), ("qwen3", {"k_proj", "v_proj", "down_proj"}), ("gpt2", {"c_attn", "c_proj"})],
)
def test_ia3_scales_keys_values_and_the_feed_forward(family: str, expected: set[str]) -> None:
    model = METHODS[MethodType.IA3].attach(tiny.model(family), told("IA3"))
    scaled = {name.split(".ia3_l")[0] for name, p in model.named_parameters() if p.requires_grad}
    assert {name.rpartition(".")[2] for name in scaled} == expected
    assert not [name for name in scaled if "attn.c_proj" in name]


def test_virtual_tokens_begin_as_the_words_that_were_given(tmp_path: Path) -> None:
    tiny.model().save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    spec = told("PromptTuning", prompt={"virtualTokens": 7, "initText": "the light is red"})
    base = load_model(tmp_path, spec, CPU)
    words = tiny.tokenizer()("the light is red", add_special_tokens=False)["input_ids"]
    expected = base.get_input_embeddings()(torch.tensor((words * 7)[:7]))
    model = METHODS[MethodType.PROMPT_TUNING].attach(base, spec)
    torch.testing.assert_close(model.prompt_encoder["default"].embedding.weight, expected)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("kind", ["PromptTuning", "PTuning", "PrefixTuning"])
def test_beside_virtual_tokens_every_label_meets_its_own_logits(kind: str, family: str) -> None:
    run = trainee(ROWS, family, packing=False, method={"type": kind, "prompt": {"virtualTokens": 3}})
    run.model.eval()
    expected = 0.0
    for row in ROWS:
        ids, weights = torch.from_numpy(row.input_ids).long(), torch.from_numpy(row.weights)
        logits = run.model(ids[None]).logits[0, -len(ids) :]
        expected += float((cross_entropy(logits[:-1], ids[1:], reduction="none") * weights[1:]).sum().detach())
    assert float(run.loss(ROWS)[0].detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", ["PromptTuning", "PTuning", "PrefixTuning", "QLoRA", "PiSSA"])
def test_before_the_first_step_the_untouched_model_is_measured(kind: str, tmp_path: Path) -> None:
    asked = {"evaluation": {"prompts": ["light 3"], "maxNewTokens": 4}, "hyperparameters": {"maxSteps": 2}}
    own, usual = (tiny.resolved(**asked, method={"type": name}) for name in (kind, "LoRA"))
    result = run_here(tiny.furnish(tmp_path / "own", own))
    expected = run_here(tiny.furnish(tmp_path / "usual", usual))
    before = "heldout_loss_before"
    assert result.metrics[before] == pytest.approx(expected.metrics[before], rel=1e-3 if kind == "QLoRA" else 1e-5)
    assert result.metrics["heldout_loss_after"] != result.metrics[before]
    card = (tmp_path / "own/mnt/claims/models/out/README.md").read_text()
    assert "library_name: peft" in card
    assert f"tuned by {kind} with Skipjack" in card


def test_a_family_that_the_method_cannot_adapt_is_refused_before_data_is_read(tmp_path: Path) -> None:
    root = tiny.furnish(tmp_path, tiny.resolved(method={"type": "OFT"}), rows=[], family="gpt2")
    with pytest.raises(
        ConfigurationInvalid, match=r"method\.type: OFT adapts linear layers, and a gpt2 is made of Conv1D"
    ):
        run_here(root)
