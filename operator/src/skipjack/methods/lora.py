"""LoRA: the update of each linear layer is the product B·A of two thin matrices.

Its rate is ten times that of full fine-tuning, as in TRL's documentation (after Schulman et al. 2025, "LoRA Without Regret").
Alpha of twice the rank is what torchtune's recipes have.
"""

from .base import Base, MethodDefaults

ADAPTER = {"rank": 16, "alpha": None, "dropout": 0.0, "target_modules": None}
"""What every method with a rank, a scale and a dropout has."""

OPTIONS = ADAPTER | {"dora": False, "rank_stabilized": False, "learning_rate_ratio": 1.0}

LORA = MethodDefaults(
    about="A low-rank update beside each linear layer.",
    paper="Hu et al. 2021, arXiv:2106.09685",
    take_it="Always to begin with: small, quick, close to full fine-tuning in quality.",
    learning_rate=2e-4,
    settings=OPTIONS,
    base=Base.MAY_BE_QUANTIZED,
    draws=True,
)
