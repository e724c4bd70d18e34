"""LoRA+. Ratio (axolotl recommends 2⁴ too) and rate are those of PEFT's documentation: A then learns slower than in LoRA, B faster."""

from .base import Base, MethodDefaults
from .lora import OPTIONS

LORA_PLUS = MethodDefaults(
    about="LoRA whose B matrices learn faster than its A matrices.",
    paper="Hayou et al. 2024, arXiv:2402.12354",
    take_it="LoRA learns too slowly.",
    learning_rate=5e-5,
    settings=OPTIONS | {"learning_rate_ratio": 16.0},
    base=Base.MAY_BE_QUANTIZED,
    draws=True,
)
