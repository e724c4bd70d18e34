"""Full fine-tuning. Its rate is TRL's default, and that of torchtune's recipes for Llama 3.1 and 3.2 of 1 to 8 billion parameters."""

from .base import MethodDefaults

FULL = MethodDefaults(
    about="Trains every weight of the model.",
    paper="",
    take_it="There is much data, or the model shall learn what it has never seen; costs the most memory.",
    learning_rate=2e-5,
    merges=False,
    draws=True,
)
