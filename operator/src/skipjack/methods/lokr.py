"""LoKr. Rank and rate are those of PEFT's example, alpha = rank is LyCORIS'."""

from .base import MethodDefaults

LOKR = MethodDefaults(
    about="The update is a Kronecker product of small matrices.",
    paper="Yeh et al. 2023, arXiv:2309.14859",
    take_it="The adapter must be small and full in rank.",
    learning_rate=3e-4,
    settings={"rank": 16, "alpha": None, "target_modules": None},
    alpha_per_rank=1.0,
    linear_only=True,
)
