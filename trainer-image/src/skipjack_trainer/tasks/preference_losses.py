"""Losses of preferences and the rewards that they imply, by the formulas of their papers (skipjack/preference.py names them)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid, relu

from skipjack.api.v1alpha1.preference import PreferenceLoss
from skipjack.resolve.resolved import ResolvedPreference


@dataclass(frozen=True, slots=True)
class Compared:
    """n examples, each of k answers: chosen and rejected, or the one that is judged. Logarithms are natural ones."""

    log_probs: torch.Tensor
    """[n, k]: summed over each answer's tokens."""
    tokens: torch.Tensor
    """[n, k]: how many those are."""
    reference: torch.Tensor
    """[n, k]: what `log_probs` were on the untouched model; zeros for losses that have no reference."""
    desirable: torch.Tensor | None = None
    """bool [n], of answers that are judged."""
    divergence: float = 0.0
    """KTO's z₀: how much likelier than the untouched model this one holds mismatched answers to be, on average, at least 0."""

    @property
    def gains(self) -> torch.Tensor:
        return self.log_probs - self.reference

    @property
    def means(self) -> torch.Tensor:
        """[n, k]: log-probability a token."""
        return self.log_probs / self.tokens


Formula = Callable[[Compared, ResolvedPreference], torch.Tensor]


def dpo(answers: Compared, told: ResolvedPreference) -> torch.Tensor:
    """Equation 7; with labelSmoothing cDPO (Mitchell 2023)."""
    return _smoothed(told.beta * _apart(answers.gains), told)


def ipo(answers: Compared, told: ResolvedPreference) -> torch.Tensor:
    """Equation 17, of log-ratios a token: what its authors used, as TRL's documentation has it."""
    return (_apart(answers.gains / answers.tokens) - 1 / (2 * told.beta)).square()


def hinge(answers: Compared, told: ResolvedPreference) -> torch.Tensor:
    """SLiC's, on DPO's rewards (Liu et al. 2023, arXiv:2309.06657)."""
    return relu(1 - told.beta * _apart(answers.gains))


def kto(answers: Compared, told: ResolvedPreference) -> torch.Tensor:
    """Equation 8: λ - λ·σ(±β·(gain - z₀))."""
    assert answers.desirable is not None, "the data is judged answers"
    above = told.beta * (answers.gains[:, 0] - answers.divergence)
    worth = torch.where(answers.desirable, told.desirable_weight or 0.0, told.undesirable_weight or 0.0)
    return worth * torch.sigmoid(torch.where(answers.desirable, -above, above))


def orpo(answers: Compared, told: ResolvedPreference) -> torch.Tensor:
    """Equations 6 and 7: the chosen answer's cross-entropy a token, and the logarithm of the ratio of both odds."""
    # log(1 - exp(x)) loses all digits near 0, where a model is sure of an answer, unless expm1 is used.
    means = answers.means
    log_odds = means - torch.log(-torch.expm1(means.clamp(max=-1e-6)))
    return -means[:, 0] - told.beta * logsigmoid(_apart(log_odds))


def simpo(answers: Compared, told: ResolvedPreference) -> torch.Tensor:
    """Equation 6."""
    return _smoothed(told.beta * _apart(answers.means) - (told.gamma or 0.0), told)


def _apart(values: torch.Tensor) -> torch.Tensor:
    """[n]: chosen less rejected."""
    return values[:, 0] - values[:, 1]


def _smoothed(margins: torch.Tensor, told: ResolvedPreference) -> torch.Tensor:
    """Binary cross-entropy, with a share of the pairs taken to be the wrong way round."""
    share = told.label_smoothing or 0.0
    return -(1 - share) * logsigmoid(margins) - share * logsigmoid(-margins)


FORMULAS: dict[PreferenceLoss, Formula] = {
    PreferenceLoss.DPO: dpo,
    PreferenceLoss.IPO: ipo,
    PreferenceLoss.HINGE: hinge,
    PreferenceLoss.KTO: kto,
    PreferenceLoss.ORPO: orpo,
    PreferenceLoss.SIMPO: simpo,
}


def losses_of(answers: Compared, told: ResolvedPreference) -> torch.Tensor:
    """[n]; with sftWeight also the chosen answer's cross-entropy a token (Pang et al. 2024, arXiv:2404.19733)."""
    losses = FORMULAS[told.loss](answers, told)
    return losses - told.sft_weight * answers.means[:, 0] if told.sft_weight else losses


def rewards_of(answers: Compared, told: ResolvedPreference) -> torch.Tensor:
    """[n, k]: what the loss takes each answer to be worth to the model."""
    is_a_token = told.loss in (PreferenceLoss.ORPO, PreferenceLoss.SIMPO)
    return told.beta * (answers.means if is_a_token else answers.gains)
