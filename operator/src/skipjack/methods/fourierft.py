"""FourierFT. Frequencies, scale and rate are the paper's for instruction tuning; its repository (Chaos96/fourierft) has 5e-2 and 1e-1."""

from .base import MethodDefaults

FOURIERFT = MethodDefaults(
    about="Learns a few coefficients of the update's spectrum.",
    paper="Gao et al. 2024, arXiv:2405.03003",
    take_it="The adapter must be tiny: a thousand numbers a layer.",
    learning_rate=3e-2,
    settings={"frequencies": 1000, "scaling": 300.0, "target_modules": None},
)
