"""PiSSA. Its rate is the paper's, and so is alpha = rank."""

from .base import MethodDefaults
from .lora import ADAPTER

SPLIT = ADAPTER | {"rank_stabilized": False, "learning_rate_ratio": 1.0}
"""Of methods that take their first adapter out of the weights themselves: magnitudes apart (DoRA) would not be the base's any more."""

PISSA = MethodDefaults(
    about="LoRA that begins as the principal singular vectors of each weight, the rest of the weight being frozen.",
    paper="Meng et al. 2024, arXiv:2404.02948",
    take_it="LoRA converges slowly; stored as plain LoRA of twice the rank.",
    learning_rate=2e-5,
    settings=SPLIT,
    alpha_per_rank=1.0,
)
