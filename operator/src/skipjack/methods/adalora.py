"""AdaLoRA. Its rate is that of PEFT's example and of the paper on SQuAD, within its range on GLUE (5e-4 to 2.2e-3)."""

from .base import Base, MethodDefaults
from .lora import ADAPTER

ADALORA = MethodDefaults(
    about="LoRA that begins with half as many ranks again, and takes them from the layers that need them least.",
    paper="Zhang et al. 2023, arXiv:2303.10512",
    take_it="The adapter must be small and still good; stored as plain LoRA with a rank for each layer.",
    learning_rate=1e-3,
    settings=ADAPTER,
    base=Base.MAY_BE_QUANTIZED,
    refuses_strategies=dict.fromkeys(
        ("ZeRO1", "ZeRO2", "ZeRO3"), "it weighs ranks by whole gradients, which are shared out there"
    ),
)
