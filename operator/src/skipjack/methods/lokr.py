"""LoKr. Rank and alpha = rank are those of PEFT's documentation.

The rate is our choice, between LoRA's and LyCORIS' (5e-4, for images). The 3e-3 of PEFT's comparison of methods goes with a first factor of 4 × 4.
"""

from .base import MethodDefaults

LOKR = MethodDefaults(
    about="The update is a Kronecker product of small matrices.",
    paper="Yeh et al. 2023, arXiv:2309.14859",
    take_it="The adapter must be small and full in rank.",
    learning_rate=3e-4,
    settings={"rank": 16, "alpha": None, "target_modules": None},
    alpha_per_rank=1.0,
    linear_only=True,
    draws=True,
)
