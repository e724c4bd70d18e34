"""LoRA (Hu et al. 2021, arXiv:2106.09685): a low-rank update beside each adapted linear layer.

Its best learning rate is some ten times that of full fine-tuning, nearly whatever the rank.
"""

from .base import MethodDefaults

LORA = MethodDefaults(
    learning_rate=2e-4,
    block="lora",
    settings={"rank": 16, "alpha": None, "dropout": 0.0, "target_modules": None},
)
