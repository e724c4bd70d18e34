"""Rank-stabilised LoRA. Alpha 16 is that of its author's post on Hugging Face, the rate is LoRA's.

With that alpha rank 64 counts twice, as LoRA of alpha 2r does.
"""

from .base import Base, MethodDefaults
from .lora import OPTIONS

RSLORA = MethodDefaults(
    about="LoRA scaled by alpha/√rank, so that large ranks learn as fast as small ones.",
    paper="Kalajdzievski 2023, arXiv:2312.03732",
    take_it="Ranks of 64 and more.",
    learning_rate=2e-4,
    settings={name: value for name, value in OPTIONS.items() if name != "rank_stabilized"} | {"alpha": 16.0},
    implied={"rank_stabilized": True},
    base=Base.MAY_BE_QUANTIZED,
    draws=True,
)
