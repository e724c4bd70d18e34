"""SHiRA. Rank and rate are those of PEFT's example and of its comparison of methods; the paper has 5e-4 for language models."""

from .base import MethodDefaults

SHIRA = MethodDefaults(
    about="Trains one or two in a hundred of the weights, drawn at random, themselves: as many as LoRA of that rank has.",
    paper="Bhardwaj et al. 2024, arXiv:2406.13175",
    take_it="Adapters are switched often, or several are to be added up.",
    learning_rate=3e-4,
    settings={"rank": 32, "target_modules": None},
    linear_only=True,
)
