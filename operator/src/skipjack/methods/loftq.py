"""LoftQ. Its rate is QLoRA's: its authors' 3e-4 (yxli2123/LoftQ, Llama 2 of 7 billion parameters) goes with alpha a quarter of the rank."""

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
