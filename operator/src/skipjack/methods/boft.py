"""BOFT. Block size and factors are PEFT's own, the rate that of the paper's language models."""

from .base import MethodDefaults

BOFT = MethodDefaults(
    about="OFT whose rotation is a product of sparse ones, as in the fast Fourier transform.",
    paper="Liu et al. 2023, arXiv:2311.06243",
    take_it="As OFT, with fewer parameters and more time.",
    learning_rate=3e-4,
    settings={"block_size": 4, "butterfly_factors": 1, "dropout": 0.0, "target_modules": None},
    linear_only=True,
)
