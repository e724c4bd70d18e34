"""RandLoRA. Rank and scale are PEFT's (alpha is 20 times the rank), the rate is that of the paper's language models."""

from .base import Base, MethodDefaults
from .lora import ADAPTER

RANDLORA = MethodDefaults(
    about="A full-rank update: learnt scales of many random low-rank matrices. A larger rank learns fewer parameters.",
    paper="Albert et al. 2025, arXiv:2502.00987",
    take_it="LoRA's rank is what limits the result.",
    learning_rate=1e-4,
    settings=ADAPTER | {"rank": 32},
    alpha_per_rank=20.0,
    base=Base.MAY_BE_QUANTIZED,
)
