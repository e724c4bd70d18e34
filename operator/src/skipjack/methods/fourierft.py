"""FourierFT. Frequencies, scale and rate are the paper's for instruction tuning."""

from .base import MethodDefaults

FOURIERFT = MethodDefaults(
    about="Learns a few coefficients of the update's spectrum.",
    paper="Gao et al. 2024, arXiv:2405.03003",
    take_it="The adapter must be tiny: a thousand numbers a layer.",
    learning_rate=3e-3,
    settings={"frequencies": 1000, "scaling": 300.0, "target_modules": None},
)
