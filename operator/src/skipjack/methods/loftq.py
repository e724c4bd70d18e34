"""LoftQ. Its rate is QLoRA's, which the paper compares with."""

from .base import Base, MethodDefaults
from .lora import ADAPTER

LOFTQ = MethodDefaults(
    about="QLoRA whose adapter begins as what quantisation has lost.",
    paper="Li et al. 2023, arXiv:2310.08659",
    take_it="QLoRA loses too much quality. Its start is computed on an accelerator.",
    learning_rate=2e-4,
    settings=ADAPTER | {"rank_stabilized": False, "learning_rate_ratio": 1.0},
    alpha_per_rank=1.0,
    base=Base.QUANTIZED,
    needs_accelerator=True,
    linear_only=True,
)
