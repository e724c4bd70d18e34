"""Preferences of causal models: pairs of answers, or answers that are judged. An example counts once, however long its answers are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skipjack.api.v1alpha1.preference import PreferenceLoss
from skipjack.preference import LOSSES
from skipjack.resolve import ResolvedSpec

from ..data.example import Example, first_tokens
from ..data.writers.preference import DESIRABLE, MISMATCHED, MISMATCHED_WEIGHTS
from ..shape import Head
from .base import BASELINE, REFERENCE, MicroBatch, Recipe, Subject, Survey
from .causal import batch as tokens_of
from .causal import on, token_losses
from .generate import answer
from .preference_losses import Compared, losses_of, rewards_of


@dataclass(frozen=True, slots=True)
class Answers:
    """n examples of k answers in one forward pass."""

    tokens: MicroBatch
    learnt: tuple[int, ...]
    """[n · k]: learnt tokens of each answer, in the order of the sequences."""
    reference: torch.Tensor
    """fp32 [n, k]"""
    desirable: torch.Tensor | None
    divergence: float

    def __len__(self) -> int:
        return len(self.reference)


def batch(examples: Sequence[Example], packing: bool, device: torch.device) -> Answers:
    learnt = tuple(int(np.count_nonzero(weights)) for example in examples for _, weights in example.sequences())
    k = len(examples[0].parts)
    none = np.zeros(k, np.float32)
    # A judged answer's second reference is that of its mismatched one.
    reference = np.stack([example.beside.get(REFERENCE, none)[:k] for example in examples])
    judged = [example.beside[DESIRABLE] for example in examples if DESIRABLE in example.beside]
    desirable = on(device, np.concatenate(judged)) if judged else None
    divergence = float(examples[0].beside[BASELINE][0]) if BASELINE in examples[0].beside else 0.0
    return Answers(tokens_of(examples, packing, device), learnt, on(device, reference), desirable, max(0.0, divergence))


def compared(model: Any, answers: Answers) -> Compared:
    of_each = token_losses(model, answers.tokens).split(answers.learnt)
    shape = answers.reference.shape
    # Summed one by one: adding up by index has no fixed order on an accelerator.
    log_probs = -torch.stack([losses.sum() for losses in of_each]).view(shape)
    tokens = torch.tensor(answers.learnt, dtype=torch.float32).view(shape).to(log_probs.device)
    return Compared(log_probs, tokens, answers.reference, answers.desirable, answers.divergence)


def loss(model: Any, batch: Answers, spec: ResolvedSpec) -> tuple[torch.Tensor, float]:
    """Sum of the examples' losses, and how many they are."""
    assert spec.preference is not None, "resolve_data settles it"
    return losses_of(compared(model, batch), spec.preference).sum(), float(len(batch))


@torch.no_grad()
def ask(subject: Subject, examples: Sequence[Example]) -> Compared:
    answers = batch(examples, subject.spec.dataset.packing, subject.device)
    with subject.autocast():
        return compared(subject.model, answers)


def mismatched(subject: Subject, examples: Sequence[Example]) -> list[Example]:
    """Each one's prompt with an answer to another."""
    limit = subject.spec.hyperparameters.max_length
    assert limit is not None, "resolve_data settles it"
    return [first_tokens(Example(e.beside[MISMATCHED], e.beside[MISMATCHED_WEIGHTS]), limit) for e in examples]


def log_probs(subject: Subject, examples: Sequence[Example]) -> NDArray[np.float32]:
    """[n, 2]: of both answers, or of the one that is judged and the mismatched one."""
    told = [ask(subject, examples).log_probs]
    if DESIRABLE in examples[0].beside:
        told.append(ask(subject, mismatched(subject, examples)).log_probs)
    return torch.cat(told, dim=1).cpu().numpy()


def divergences(subject: Subject, examples: Sequence[Example]) -> NDArray[np.float32]:
    """[n, 1]: how much likelier each mismatched answer has become. Their mean over a step estimates KTO's z₀, whatever the micro-batches."""
    now = ask(subject, mismatched(subject, examples)).log_probs.cpu().numpy()
    return now - np.stack([example.beside[REFERENCE][1:] for example in examples])


def reference(spec: ResolvedSpec) -> Survey | None:
    return log_probs if spec.preference and LOSSES[spec.preference.loss].has_reference else None


def baseline(spec: ResolvedSpec) -> Survey | None:
    return divergences if spec.preference and spec.preference.loss is PreferenceLoss.KTO else None


def predict(subject: Subject, examples: Sequence[Example]) -> list[list[float]]:
    """The rewards of each one's answers."""
    assert subject.spec.preference is not None, "resolve_data settles it"
    told: list[list[float]] = rewards_of(ask(subject, examples), subject.spec.preference).tolist()
    return told


def score(examples: Sequence[Example], predictions: Sequence[list[float]], labels: tuple[str, ...]) -> dict[str, float]:
    """Mean rewards, how far they are apart, and the share of pairs whose chosen answer has the higher one; a tie is half a pair.

    Of answers that are judged: of all pairs of a desirable one and an undesirable one (the area under the ROC curve).
    """
    if DESIRABLE in examples[0].beside:
        is_desirable = np.concatenate([example.beside[DESIRABLE] for example in examples])
        rewards = np.array(predictions)[:, 0]
        chosen, rejected = rewards[is_desirable], rewards[~is_desirable]
        order = np.sort(rejected)
        below, not_above = np.searchsorted(order, chosen, "left"), np.searchsorted(order, chosen, "right")
        right = (below + not_above).mean() / (2 * len(rejected))
    else:
        chosen, rejected = np.array(predictions).T
        right = ((chosen > rejected) + 0.5 * (chosen == rejected)).mean()
    return {
        "reward_accuracy": float(right),
        "reward_chosen": float(chosen.mean()),
        "reward_rejected": float(rejected.mean()),
        "reward_margin": float(chosen.mean() - rejected.mean()),
    }


PREFERENCE = Recipe(Head.NEXT_TOKEN, batch, loss, predict, score, answer=answer, reference=reference, baseline=baseline)
