"""LoHa. Alpha = rank is PEFT's default. Rank and rate are our choice: LoRA's rank, a rate between LoRA's and LyCORIS' (5e-4, for images)."""

from .base import MethodDefaults

LOHA = MethodDefaults(
    about="The elementwise product of two low-rank updates: of high rank with as few parameters.",
    paper="Hyeon-Woo et al. 2021, arXiv:2108.06098",
    take_it="Images and styles; for text LoRA is as good.",
    learning_rate=3e-4,
    settings={"rank": 16, "alpha": None, "target_modules": None},
    alpha_per_rank=1.0,
    linear_only=True,
    draws=True,
)
