"""IA3. Its rate is that of the best in PEFT's comparison of methods, between the paper's 3e-3 and the 8e-3 of PEFT's example."""

from .base import Base, MethodDefaults

IA3 = MethodDefaults(
    about="Learns how much each channel of keys, values and feed-forward counts.",
    paper="Liu et al. 2022, arXiv:2205.05638",
    take_it="A handful of examples, and the smallest adapter there is.",
    learning_rate=5e-3,
    settings={"target_modules": None},
    base=Base.MAY_BE_QUANTIZED,
)
