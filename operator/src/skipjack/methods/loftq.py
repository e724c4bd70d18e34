"""LoftQ. Its rate is QLoRA's, which the paper compares with."""

from .base import Base, MethodDefaults
from .pissa import SPLIT

LOFTQ = MethodDefaults(
    about="QLoRA whose adapter begins as what quantisation took from each weight.",
    paper="Li et al. 2023, arXiv:2310.08659",
    take_it="QLoRA loses too much quality, or its rank is low.",
    learning_rate=2e-4,
    settings=SPLIT,
    base=Base.QUANTIZED,
)
