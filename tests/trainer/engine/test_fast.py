"""Fast layers compute what the stock ones do."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tests.trainer import tiny
from tests.trainer.trainees import CPU, examples, trainee
from torch.nn.functional import cross_entropy

from skipjack_trainer.engine.objective import trained
from skipjack_trainer.fast import attention, lora, loss, norm
from skipjack_trainer.model import PLAIN_HEADS, head_of
from skipjack_trainer.tasks import causal
from skipjack_trainer.tasks.causal import packed

ROWS = examples(8)


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Taken away, so that the next ones are not added to them."""
    told = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return told


def adapted(model: Any, **settings: Any) -> Any:
    """With LoRA whose B is not zero, so that its update shows."""
    config = {"r": 4, "lora_alpha": 12, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    made = get_peft_model(model, LoraConfig(**(config | settings)))
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return made


@torch.no_grad()
@pytest.mark.parametrize("changes", [{"num_key_value_heads": 1}, {"sliding_window": 6}], ids=str)
@pytest.mark.parametrize("family", ["mistral", "phi3"])
def test_packed_rows_share_heads_and_look_back_no_further_than_the_window(family: str, changes: dict[str, int]) -> None:
    model = tiny.model(family, **changes).eval()
    stock = [causal.loss(model, packed([row], CPU), tiny.resolved())[0] for row in ROWS]
    model.set_attn_implementation(attention.register())
    assert float(causal.loss(model, packed(ROWS, CPU), tiny.resolved())[0]) == pytest.approx(
        float(sum(stock)), rel=1e-5
    )
    wide = tiny.model(family).eval()
    assert abs(float(causal.loss(wide, packed(ROWS, CPU), tiny.resolved())[0]) - float(sum(stock))) > 1e-3


@torch.no_grad()
def test_rows_that_are_not_packed_attend_as_the_stock_ones_do() -> None:
    model = tiny.model("mistral", sliding_window=6).eval()
    ids = torch.arange(5, 45).view(2, 20)
    mask = torch.ones_like(ids)
    mask[1, 12:] = 0
    for told in ({}, {"attention_mask": mask}):
        model.set_attn_implementation("sdpa")
        expected = model(ids, **told, use_cache=False).logits
        model.set_attn_implementation(attention.register())
        assert torch.allclose(model(ids, **told, use_cache=False).logits[mask == 1], expected[mask == 1], atol=1e-5)


@torch.no_grad()
def test_an_answer_is_the_same_with_attention_for_packed_rows() -> None:
    model = tiny.model("llama").eval()
    ids = torch.arange(5, 15)[None]
    told = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 8, "do_sample": False}
    expected = model.generate(ids, **told)
    model.set_attn_implementation(attention.register())
    assert model.generate(ids, **told).tolist() == expected.tolist()


@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied head"])
@pytest.mark.parametrize("family", sorted(PLAIN_HEADS))
def test_the_loss_from_hidden_states_is_that_of_full_logits(
    family: str, tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(loss.CHUNK, "cpu", 7)
    model = tiny.model(family, tie_word_embeddings=tied)
    assert head_of(model) is not None
    batch = packed(ROWS[:1], CPU)
    batch.weights[0, -3] = 0.25
    total, _ = causal.loss(model, batch, tiny.resolved())
    (total / 3).backward()
    ours = gradients(model)
    losses, weights = causal.from_logits(model, batch)
    expected = (losses * weights).sum()
    (expected / 3).backward()
    stock = gradients(model)
    assert float(total.detach()) == pytest.approx(float(expected.detach()), rel=1e-6)
    assert ours.keys() == stock.keys()
    for name, gradient in stock.items():
        assert torch.allclose(ours[name], gradient, rtol=1e-4, atol=1e-5), name


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
@pytest.mark.parametrize("family", ["llama", "granite"])
def test_smoothed_targets_are_those_of_torch_from_hidden_states_and_from_logits(
    family: str, smoothing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(loss.CHUNK, "cpu", 7)
    model = tiny.model(family).train()
    assert (head_of(model) is None) is (family == "granite")
    told = tiny.resolved(hyperparameters={"maxSteps": 1, "labelSmoothing": smoothing})
    total, _ = causal.loss(model, packed(ROWS[:1], CPU), told)
    total.backward()
    ours = gradients(model)
    ids, weights = (torch.from_numpy(array) for array in (ROWS[0].input_ids, ROWS[0].weights))
    logits = model(ids[None].long(), use_cache=False).logits[0, :-1]
    losses = cross_entropy(logits, ids[1:].long(), reduction="none", label_smoothing=smoothing)
    (losses * weights[1:]).sum().backward()
    assert float(total) == pytest.approx(float((losses * weights[1:]).sum()), rel=1e-6)
    for name, gradient in gradients(model).items():
        assert torch.allclose(ours[name], gradient, rtol=1e-4, atol=1e-5), name


def test_targets_are_smoothed_in_training_alone() -> None:
    told = tiny.resolved(hyperparameters={"maxSteps": 1, "labelSmoothing": 0.3})
    model = tiny.model().eval()
    plain, batch = causal.loss(model, packed(ROWS[:1], CPU), tiny.resolved())[0], packed(ROWS[:1], CPU)
    assert float(causal.loss(model, batch, told)[0]) == float(plain)
    assert float(causal.loss(model.train(), batch, told)[0]) != float(plain)


@pytest.mark.parametrize("tied", [False, True], ids=["own head", "tied head"])
@pytest.mark.parametrize("trained", [True, False], ids=["trained", "frozen"])
def test_losses_of_single_tokens_have_the_gradients_of_full_logits_whatever_each_counts(
    tied: bool, trained: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(loss.CHUNK, "cpu", 7)
    model = tiny.model(tie_word_embeddings=tied)
    model.lm_head.weight.requires_grad_(trained)
    batch = packed(ROWS[:1], CPU)
    counts = torch.linspace(-1, 2, len(batch.learnt))
    ours = causal.token_losses(model, batch)
    (ours * counts).sum().backward()
    told = gradients(model)
    losses, weights = causal.from_logits(model, batch)
    stock = losses[weights != 0]
    (stock * counts).sum().backward()
    assert torch.allclose(ours, stock, rtol=1e-5)
    expected = gradients(model)
    assert told.keys() == expected.keys()
    for name, gradient in expected.items():
        assert torch.allclose(told[name], gradient, rtol=1e-4, atol=1e-5), name


def test_a_head_that_does_more_than_multiply_is_asked_for_its_logits() -> None:
    assert head_of(adapted(tiny.model(), target_modules=["lm_head"])) is None
    assert head_of(tiny.model("granite")) is None
    with torch.autocast("cpu", torch.float16):
        assert head_of(tiny.model()) is None
    partitioned = tiny.model()
    partitioned.lm_head.weight.ds_id = 0
    assert head_of(partitioned) is None


@pytest.mark.parametrize("precise", [True, False], ids=["fp32", "bf16"])
def test_lora_in_one_function_has_the_output_and_gradients_of_pefts(precise: bool) -> None:
    model = adapted(tiny.model("qwen2") if precise else tiny.model("qwen2").bfloat16())
    batch, told = packed(ROWS, CPU), []
    for quick in (False, True):
        if quick:
            assert lora.quicken(model) == 14
        with torch.autocast("cpu", torch.bfloat16, enabled=not precise):
            total, _ = causal.loss(model, batch, tiny.resolved())
        total.backward()
        told.append((float(total.detach()), gradients(model)))
    (stock_loss, stock), (quick_loss, quickened) = told
    assert quick_loss == pytest.approx(stock_loss, rel=1e-6 if precise else 2e-3)
    assert quickened.keys() == stock.keys()
    for name, gradient in stock.items():
        difference = (quickened[name] - gradient).norm() / gradient.norm()
        assert difference < (1e-4 if precise else 0.05), name


def test_lora_on_four_bits_has_the_output_and_gradients_of_pefts() -> None:
    from bitsandbytes.nn import Linear4bit

    torch.manual_seed(0)
    base, x = torch.nn.Sequential(Linear4bit(64, 64, bias=False, quant_type="nf4")).to("cpu"), torch.randn(3, 9, 64)
    base[0].support_avx512bf16_for_cpu = False
    model, told = adapted(base, target_modules=["0"], task_type=None).train(), []
    for quick in (False, True):
        if quick:
            assert lora.quicken(model) == 1
        rows = x.clone().requires_grad_()
        output = model(rows)
        output.square().sum().backward()
        told.append([output.detach(), rows.grad, *gradients(model).values()])
    assert all(torch.allclose(ours, stock, rtol=1e-4, atol=1e-4) for stock, ours in zip(*told, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_norms_have_the_output_and_gradients_of_the_stock_ones(dtype: torch.dtype) -> None:
    for name in sorted(norm.STOCK):
        family = name.removesuffix("RMSNorm").lower()
        module = getattr(import_module(f"transformers.models.{family}.modeling_{family}"), name)(32)
        torch.nn.init.normal_(module.weight.requires_grad_(False))
        rows, told = torch.randn(2, 7, 32).to(dtype).requires_grad_(), []
        for quick in (False, True):
            if quick:
                assert norm.quicken(module) == 1
            output = module.to(dtype)(rows)
            told += [output, *torch.autograd.grad(output.float().pow(3).sum(), rows)]
        assert torch.equal(told[0], told[2]) or dtype is torch.float32
        assert torch.allclose(told[0], told[2], rtol=1e-5)
        assert (told[1] - told[3]).norm() <= (1e-6 if dtype is torch.float32 else 0.02) * told[1].norm()


@pytest.mark.parametrize("settings", [{"lora_dropout": 0.1}, {"use_dora": True}, {"lora_bias": True}], ids=str)
def test_lora_that_does_more_stays_pefts(settings: dict[str, Any]) -> None:
    assert lora.quicken(adapted(tiny.model("qwen2"), **settings)) == 0


@torch.no_grad()
def test_quickened_layers_can_be_switched_off_and_merged() -> None:
    model = adapted(tiny.model())
    ids = torch.arange(5, 25)[None]
    with model.disable_adapter():
        base = model(ids).logits
    lora.quicken(model)
    quick = model(ids).logits
    with model.disable_adapter():
        assert torch.equal(model(ids).logits, base)
    assert not torch.allclose(quick, base, atol=1e-3)
    assert torch.allclose(model.merge_and_unload()(ids).logits, quick, atol=1e-4)


def test_a_lora_job_trains_in_fast_layers() -> None:
    run = trainee(ROWS, method={"type": "LoRA"})
    assert run.model.get_base_model().config._attn_implementation == attention.NAME
    assert head_of(run.model) is not None
    total, _ = run.loss(ROWS)
    names = {type(node).__name__ for node in nodes(total.grad_fn)}
    assert {"_LinearCrossEntropyBackward", "_LoRALinearBackward", "_RMSNormBackward"} <= names
    assert len(trained(run.model)) == 28


def nodes(node: Any) -> set[Any]:
    """All functions that a backward pass goes through."""
    seen, waiting = set(), [node]
    while waiting:
        current = waiting.pop()
        if current is not None and current not in seen:
            seen.add(current)
            waiting += [following for following, _ in current.next_functions]
    return seen
