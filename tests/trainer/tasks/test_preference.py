"""Preferences: the papers' formulas, one mean over examples whatever the micro-batches, and measures that mean what they say."""

from __future__ import annotations

from math import exp, log, log1p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.trainer import tiny
from tests.trainer.preferences import LOSSES, judged, pair, preferring, rows_for
from tests.trainer.ranks import together
from tests.trainer.trainees import CPU

from skipjack.preference import LOSSES as KNOWN
from skipjack.resolve.resolved import ResolvedPreference
from skipjack_trainer.engine.evaluate import evaluate, measured
from skipjack_trainer.engine.loop import accumulate
from skipjack_trainer.engine.peers import Peers
from skipjack_trainer.fast import attention
from skipjack_trainer.tasks import preference
from skipjack_trainer.tasks.base import BASELINE
from skipjack_trainer.tasks.preference_losses import Compared, losses_of, rewards_of

CHOSEN, REJECTED = -14.25, -11.5
"""Log-probabilities of two answers of 5 and 3 tokens, and below of the untouched model."""
REF_CHOSEN, REF_REJECTED = -15.0, -10.0
ANSWERS = Compared(
    torch.tensor([[CHOSEN, REJECTED]], dtype=torch.float64),
    torch.tensor([[5.0, 3.0]], dtype=torch.float64),
    torch.tensor([[REF_CHOSEN, REF_REJECTED]], dtype=torch.float64),
)
APART = (CHOSEN - REF_CHOSEN) - (REJECTED - REF_REJECTED)


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def log_odds(mean: float) -> float:
    return log(exp(mean) / (1 - exp(mean)))


def told(loss: str, **own: Any) -> ResolvedPreference:
    return ResolvedPreference.model_validate({"loss": loss, **KNOWN[loss].settings, **own})  # type: ignore[index]


BY_HAND = [
    ("DPO", {}, -log(sigmoid(0.1 * APART))),
    ("DPO", {"beta": 0.5, "label_smoothing": 0.1}, -0.9 * log(sigmoid(0.5 * APART)) - 0.1 * log(sigmoid(-0.5 * APART))),
    ("DPO", {"sft_weight": 2.0}, -log(sigmoid(0.1 * APART)) + 2 * 14.25 / 5),
    ("IPO", {"beta": 0.25}, (0.75 / 5 - -1.5 / 3 - 1 / 0.5) ** 2),
    ("Hinge", {}, 1 - 0.1 * APART),
    ("Hinge", {"beta": 1.0}, 0.0),
    ("ORPO", {"beta": 0.3}, 14.25 / 5 - 0.3 * log(sigmoid(log_odds(CHOSEN / 5) - log_odds(REJECTED / 3)))),
    ("SimPO", {}, -log(sigmoid(2.0 * CHOSEN / 5 - 2.0 * REJECTED / 3 - 0.5))),
    ("SimPO", {"gamma": 0.0, "label_smoothing": 0.2},
     -0.8 * log(sigmoid(2 * (CHOSEN / 5 - REJECTED / 3))) - 0.2 * log(sigmoid(-2 * (CHOSEN / 5 - REJECTED / 3)))),
]  # fmt: skip


@pytest.mark.parametrize(("loss", "own", "expected"), BY_HAND)
def test_a_loss_is_its_papers_formula(loss: str, own: dict[str, float], expected: float) -> None:
    assert float(losses_of(ANSWERS, told(loss, **own))) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("divergence", [0.0, 0.4])
def test_kto_weighs_what_was_liked_and_what_was_not_against_the_mean_divergence(divergence: float) -> None:
    answers = Compared(
        torch.tensor([[CHOSEN], [REJECTED]], dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64),
        torch.tensor([[REF_CHOSEN], [REF_REJECTED]], dtype=torch.float64), torch.tensor([True, False]), divergence,
    )  # fmt: skip
    losses = losses_of(answers, told("KTO", beta=0.2, desirable_weight=1.5, undesirable_weight=3.0)).tolist()
    liked = 1.5 * (1 - sigmoid(0.2 * (CHOSEN - REF_CHOSEN - divergence)))
    disliked = 3.0 * (1 - sigmoid(0.2 * (divergence - (REJECTED - REF_REJECTED))))
    assert losses == pytest.approx([liked, disliked], rel=1e-12)


def test_the_odds_of_an_answer_that_is_all_but_sure_are_finite_and_so_is_their_gradient() -> None:
    sure = torch.tensor([[0.0, -1e-9]], requires_grad=True)
    answers = Compared(sure, torch.ones(1, 2), torch.zeros(1, 2))
    losses_of(answers, told("ORPO")).sum().backward()
    assert sure.grad is not None
    assert torch.isfinite(sure.grad).all()


def test_rewards_are_gains_on_the_reference_or_log_probabilities_a_token() -> None:
    assert rewards_of(ANSWERS, told("DPO")).tolist() == [pytest.approx([0.075, -0.15])]
    assert rewards_of(ANSWERS, told("SimPO")).tolist() == [pytest.approx([2 * CHOSEN / 5, 2 * REJECTED / 3])]
    assert log1p(1) == pytest.approx(log(2))


@torch.no_grad()
@pytest.mark.parametrize(
    ("family", "packing"), [("llama", True), ("phi3small", True), ("llama", False), ("gpt2", False)]
)
def test_each_answer_has_the_log_probability_that_it_has_alone(family: str, packing: bool) -> None:
    model, rows = tiny.model(family).eval(), rows_for("DPO", 4)
    expected = []
    for ids, weights in (sequence for row in rows for sequence in row.sequences()):
        tokens = torch.from_numpy(ids).long()
        of_each = model(tokens[None], use_cache=False).logits[0, :-1].double().log_softmax(-1)
        expected.append(float(of_each.gather(1, tokens[1:, None])[torch.from_numpy(weights)[1:] > 0].sum()))
    if packing and family != "phi3small":
        model.set_attn_implementation(attention.register())
    answers = preference.batch(rows, packing, CPU)
    assert preference.compared(model, answers).log_probs.flatten().tolist() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("method", "family"), [("Full", "llama"), ("LoRA", "llama"), ("Full", "gpt2")])
@pytest.mark.parametrize("loss", LOSSES)
def test_one_batch_of_eight_learns_what_eight_of_one_do(loss: str, method: str, family: str, tmp_path: Path) -> None:
    told = []
    for tokens in (4096, 8):
        compute = {"precision": "FP32", "microBatchTokens": tokens}
        folder = tmp_path / str(tokens)
        run = preferring(loss, folder, None, family, family == "llama", method={"type": method}, compute=compute)
        assert len(run.groups(run.train, range(8))) == (1 if tokens == 4096 else 8)
        accumulate(run, range(8), 0, 1.0)
        run.strategy.step(1e-2, 1.0, 1.0)
        # Now the model is another than its reference, and KTO's divergence no longer none.
        loss_sum, weight, _ = accumulate(run, range(8), 1, 1.0)
        told.append([loss_sum, run.strategy.step(1e-2, 1.0, 1.0)])
        assert weight == 8
    assert told[0] == pytest.approx(told[1], rel=2e-4)


def test_an_example_counts_once_however_long_its_answers_are(tmp_path: Path) -> None:
    run = preferring("SimPO", tmp_path)
    total, weight, _ = accumulate(run, range(8), 0, 1.0)
    alone = [accumulate(run, [index], 0, 1.0)[0] for index in range(8)]
    assert (total, weight) == (pytest.approx(sum(alone), rel=1e-5), 8)


def kto(peers: Peers, folder: Path, strategy: str) -> list[float]:
    run = preferring(
        "KTO", folder, peers, method={"type": "Full"}, compute={"precision": "FP32", "microBatchTokens": 48, "strategy": strategy}
    )  # fmt: skip
    seen = []
    for step in range(3):
        seen.append(float(measured(run, run.train, range(8))[BASELINE][0]))
        seen.append(accumulate(run, range(8), step, 1.0)[0])
        seen.append(run.strategy.step(1e-2, 1.0, 1.0))
    return [*seen, *evaluate(run, run.train).values()]


@pytest.mark.parametrize("strategy", ["DDP", "ZeRO3"])
def test_a_gang_measures_and_learns_what_one_process_does(strategy: str, tmp_path: Path) -> None:
    (expected,) = together(1, lambda peers: kto(peers, tmp_path / "one", "DDP"))
    for seen in together(2, lambda peers: kto(peers, tmp_path / "gang", strategy)):
        assert seen == pytest.approx(expected, rel=2e-3, abs=2e-5)
    assert abs(expected[3]) > 1e-3, "the divergence moves"


def test_a_tie_is_half_a_pair() -> None:
    rows = [pair(0), pair(1), pair(2), pair(3)]
    said = preference.score(rows, [[1.0, 0.0], [0.0, 1.0], [2.0, 2.0], [3.0, 1.0]], ())
    assert said == {"reward_accuracy": 0.625, "reward_chosen": 1.5, "reward_rejected": 1.0, "reward_margin": 0.5}


def test_judged_answers_are_compared_each_with_each() -> None:
    rows = [judged(seed) for seed in range(6)]  # undesirable, twice desirable, and again
    rewards = [0.5, 1.0, 0.0, 1.0, 1.0, 2.0]
    good, bad = [1.0, 0.0, 1.0, 2.0], [0.5, 1.0]
    right = np.mean([(g > b) + 0.5 * (g == b) for g in good for b in bad])
    assert preference.score(rows, [[r] for r in rewards], ())["reward_accuracy"] == pytest.approx(right)
