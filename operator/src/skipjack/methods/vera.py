"""VeRA. The rate is the paper's for instruction tuning, at rank 1024; the rank is PEFT's default."""

from .base import Base, MethodDefaults

VERA = MethodDefaults(
    about="Two vectors a layer scale one pair of random matrices that all layers share.",
    paper="Kopiczko et al. 2023, arXiv:2310.11454",
    take_it="Very many adapters are to be kept: each is some ten times smaller than LoRA's.",
    learning_rate=4e-3,
    settings={"rank": 256, "dropout": 0.0, "target_modules": None},
    base=Base.MAY_BE_QUANTIZED,
)
