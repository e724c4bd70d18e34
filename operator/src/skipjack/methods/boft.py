"""BOFT. Block size and factors are PEFT's own. The rate lies between the paper's two for Llama 2: 1e-4 for instructions, 8e-4 for mathematics.

With one factor it is OFT. Of more, PEFT loads the adapter only where it can compile for CUDA; merged it loads everywhere.
"""

from .base import MethodDefaults

BOFT = MethodDefaults(
    about="OFT whose rotation is a product of sparse ones, as in the fast Fourier transform.",
    paper="Liu et al. 2023, arXiv:2311.06243",
    take_it="As OFT, with fewer parameters. With butterflyFactors above 1 PEFT needs nvcc to load the adapter.",
    learning_rate=3e-4,
    settings={"block_size": 4, "butterfly_factors": 1, "dropout": 0.0, "target_modules": None},
    linear_only=True,
)
