"""Full fine-tuning. Its rate is that of TRL's and torchtune's recipes for models of 1 to 8 billion parameters."""

from .base import MethodDefaults

FULL = MethodDefaults(
    about="Trains every weight of the model.",
    paper="",
    take_it="There is much data, or the model shall learn what it has never seen; costs the most memory.",
    learning_rate=2e-5,
    merges=False,
)
