"""QLoRA. Its rate is that of the authors' scripts (artidoro/qlora) for up to 13 billion parameters; for more they have 1e-4."""

from .base import Base, MethodDefaults
from .lora import OPTIONS

QLORA = MethodDefaults(
    about="LoRA on a base whose linear layers are held in 4 bits (NF4).",
    paper="Dettmers et al. 2023, arXiv:2305.14314",
    take_it="The base doesn't fit in memory in 16 bits. With lora.dora: true it is QDoRA.",
    learning_rate=2e-4,
    settings=OPTIONS,
    base=Base.QUANTIZED,
)
