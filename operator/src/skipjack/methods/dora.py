"""DoRA. Its rate is the paper's for LLaMA and LLaMA 2 of 7 billion parameters at rank 16; for Llama 3 of 8 billion it has 1e-4."""

from .base import Base, MethodDefaults
from .lora import OPTIONS

DORA = MethodDefaults(
    about="LoRA that learns each weight's magnitude apart from its direction.",
    paper="Liu et al. 2024, arXiv:2402.09353",
    take_it="Low ranks; somewhat better than LoRA and somewhat slower.",
    learning_rate=2e-4,
    settings={name: value for name, value in OPTIONS.items() if name != "dora"},
    implied={"dora": True},
    base=Base.MAY_BE_QUANTIZED,
    draws=True,
)
