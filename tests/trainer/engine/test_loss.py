"""What a step learns from, and that no choice of hardware changes it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.trainees import CPU, example, examples, trainee

from skipjack.api.v1alpha1.dataset import Task
from skipjack_trainer.engine.loop import accumulate
from skipjack_trainer.engine.objective import trained
from skipjack_trainer.fast import attention
from skipjack_trainer.fast.attention import Segments
from skipjack_trainer.model import PACKS, facts_of, keeps_logits
from skipjack_trainer.tasks import causal
from skipjack_trainer.tasks.causal import packed, padded

ROWS = examples(8)


def alone(model: torch.nn.Module) -> float:
    """Each example by itself, from full logits."""
    total = 0.0
    for row in ROWS:
        ids = torch.from_numpy(row.input_ids).long()
        logits = model(ids[None], use_cache=False).logits[0, :-1].float()
        losses = torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none")
        total += float((losses * torch.from_numpy(row.weights)[1:]).sum())
    return total


@torch.no_grad()
@pytest.mark.parametrize("family", sorted(PACKS))
def test_packed_rows_have_the_loss_they_have_alone(family: str) -> None:
    model = tiny.model(family).eval()
    assert facts_of(model.config).can_pack
    expected = alone(model)
    model.set_attn_implementation(attention.register())
    loss, weight = causal.loss(model, packed(ROWS, CPU), tiny.resolved())
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    assert weight == sum(row.weights.sum() for row in ROWS)


@torch.no_grad()
def test_the_comparison_of_packed_rows_would_notice_contamination() -> None:
    model = tiny.model("llama").eval()
    expected = alone(model)
    one = Segments.of((sum(map(len, ROWS)),), CPU)
    running_on = replace(packed(ROWS, CPU), segments=one)
    model.set_attn_implementation(attention.register())
    assert abs(float(causal.loss(model, running_on, tiny.resolved())[0]) - expected) > 1e-2


@torch.no_grad()
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_padded_rows_have_the_loss_they_have_alone(family: str) -> None:
    model = tiny.model(family).eval()
    loss, _ = causal.loss(model, padded(ROWS, CPU), tiny.resolved())
    assert float(loss) == pytest.approx(alone(model), rel=1e-5)


@torch.no_grad()
def test_a_model_that_makes_all_logits_has_the_same_loss() -> None:
    model = tiny.model("llama").eval()
    expected, _ = causal.loss(model, padded(ROWS, CPU), tiny.resolved())

    class AllLogits(torch.nn.Module):
        def forward(self, input_ids, attention_mask=None, position_ids=None, use_cache=None):  # type: ignore[no-untyped-def]
            return model(input_ids, attention_mask=attention_mask, use_cache=use_cache)

    assert keeps_logits(model)
    assert not keeps_logits(AllLogits())
    assert float(causal.loss(AllLogits(), padded(ROWS, CPU), tiny.resolved())[0]) == pytest.approx(
        float(expected), rel=1e-6
    )


@pytest.mark.parametrize("task", [Task.CHAT, Task.COMPLETION])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_one_batch_of_eight_learns_what_eight_of_one_do(family: str, task: Task) -> None:
    norms, losses = [], []
    for tokens in (4096, 8):
        packing = family in PACKS
        run = trainee(
            ROWS,
            family,
            packing,
            task=task,
            method={"type": "Full"},
            compute={"precision": "FP32", "microBatchTokens": tokens},
        )
        groups = run.groups(ROWS, range(8))
        assert len(groups) == (1 if tokens == 4096 else 8)
        loss, _, _ = accumulate(run, range(8), 0, 1.0)
        norms.append(run.strategy.step(1e-3, 1.0, 1.0))
        losses.append(loss)
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_gradient_is_clipped_to_the_norm_asked_for_and_told_as_it_was() -> None:
    run = trainee(ROWS, method={"type": "Full"}, hyperparameters={"maxSteps": 1, "maxGradNorm": 0.01})
    accumulate(run, range(8), 0, 1.0)
    assert run.strategy.step(1e-3, 1.0, max_norm=0.01) > 0.1
    # After the first step a moment is a tenth of the gradient that made it.
    moments = [state["exp_avg"] for _, state in run.strategy.states()]
    left = 10 * torch.linalg.vector_norm(torch.stack([moment.norm() for moment in moments]))
    assert float(left) == pytest.approx(0.01, rel=1e-3)


def test_dropout_is_drawn_by_step_and_example_not_by_what_was_drawn_before() -> None:
    lora = {"type": "LoRA", "lora": {"dropout": 0.5}}
    run = trainee(ROWS, method=lora)
    for name, parameter in trained(run.model):
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    seen = []
    for noise in (0, 1000):
        torch.randn(noise)
        seen.append(accumulate(run, range(8), 3, 1.0)[0])
    assert seen[0] == seen[1]
    assert accumulate(run, range(8), 4, 1.0)[0] != seen[0]


def test_adapters_on_a_bf16_base_are_fp32() -> None:
    run = trainee([example(9, 1)], method={"type": "LoRA"}, compute={"precision": "BF16"})
    assert {p.dtype for _, p in trained(run.model)} == {torch.float32}
