"""What every loss of a preference tuning says of itself, as data: `resolve` and the trainer judge by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .api.v1alpha1.preference import PreferenceLoss

AS_DPO = 0.05
"""TRL's documentation has 1e-6 for full fine-tuning by DPO and KTO and ten times as much for LoRA, where it has 2e-5 and 2e-4 for
chats. SimPO's authors looked between 3e-7 and 1e-6."""


@dataclass(frozen=True, slots=True)
class LossDefaults:
    """A loss."""

    about: str
    """What it asks of a model, in a line."""
    paper: str
    """Authors, year, arXiv number."""
    settings: Mapping[str, float]
    """What may be set, and what it is when it isn't."""
    has_reference: bool = True
    """Whether the model is compared with the one that it was."""
    takes_pairs: bool = True
    """Whether a row is two answers; else it is one, and a judgement."""
    learning_rate_factor: float = AS_DPO
    """Times a method's own default, which is for chats."""


# Betas are those of TRL's DPOConfig and KTOConfig; IPO's is the paper's tau.
LOSSES: dict[PreferenceLoss, LossDefaults] = {
    PreferenceLoss.DPO: LossDefaults(
        "The chosen answer gains more on the reference than the rejected one.",
        "Rafailov et al. 2023, arXiv:2305.18290",
        {"beta": 0.1, "label_smoothing": 0.0, "sft_weight": 0.0},
    ),
    PreferenceLoss.IPO: LossDefaults(
        "It gains more by a set distance and no further, so that clear preferences aren't overlearnt.",
        "Azar et al. 2023, arXiv:2310.12036",
        {"beta": 0.1, "sft_weight": 0.0},
    ),
    PreferenceLoss.HINGE: LossDefaults(
        "Pairs that are far enough apart teach nothing more.",
        "Zhao et al. 2023, arXiv:2305.10425",
        {"beta": 0.1, "sft_weight": 0.0},
    ),
    PreferenceLoss.KTO: LossDefaults(
        "Single answers that were liked or disliked; no pairs are needed.",
        "Ethayarajh et al. 2024, arXiv:2402.01306",
        {"beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0},
        takes_pairs=False,
    ),
    # Lambda of 0.1 and a rate of 8e-6 are the paper's: most of what it learns is the chosen answer, as in a chat.
    PreferenceLoss.ORPO: LossDefaults(
        "The chosen answer is learnt as in a chat, and made likelier than the rejected one; no reference.",
        "Hong et al. 2024, arXiv:2403.07691",
        {"beta": 0.1},
        has_reference=False,
        learning_rate_factor=0.4,
    ),
    # Beta, and a margin of a quarter of it, as in the authors' own configuration.
    PreferenceLoss.SIMPO: LossDefaults(
        "The chosen answer is likelier a token than the rejected one, by a margin; no reference.",
        "Meng et al. 2024, arXiv:2405.14734",
        {"beta": 2.0, "gamma": 0.5, "label_smoothing": 0.0, "sft_weight": 0.0},
        has_reference=False,
    ),
}
