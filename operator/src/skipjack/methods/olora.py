"""OLoRA. Its rate is that of PEFT's example; alpha = rank is our choice, as PiSSA has it."""

from .base import MethodDefaults
from .pissa import SPLIT

OLORA = MethodDefaults(
    about="LoRA that begins as the first vectors of each weight's QR decomposition.",
    paper="Büyükakyüz 2024, arXiv:2406.01775",
    take_it="As PiSSA, with a cheaper start; stored as plain LoRA of twice the rank.",
    learning_rate=3e-4,
    settings=SPLIT,
    alpha_per_rank=1.0,
    linear_only=True,
)
