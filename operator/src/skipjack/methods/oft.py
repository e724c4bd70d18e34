"""OFT. Block size and rate are those of the second version's paper (Qiu et al. 2025, arXiv:2506.19847) for Llama 2 on WikiText."""

from .base import Base, MethodDefaults

OFT = MethodDefaults(
    about="Rotates each layer's input, block by block: angles between neurons stay.",
    paper="Qiu et al. 2023, arXiv:2306.07280",
    take_it="What the base can do already must not be lost.",
    learning_rate=2e-4,
    settings={"block_size": 32, "dropout": 0.0, "target_modules": None},
    base=Base.MAY_BE_QUANTIZED,
    linear_only=True,
)
