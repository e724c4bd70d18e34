"""What each method is: its settings, its defaults, what it refuses. How it is attached to a model lives in the trainer."""

from __future__ import annotations

from ..api.v1alpha1.method import MethodType
from .adalora import ADALORA
from .base import Base, MethodDefaults
from .boft import BOFT
from .dora import DORA
from .fourierft import FOURIERFT
from .full import FULL
from .ia3 import IA3
from .loftq import LOFTQ
from .loha import LOHA
from .lokr import LOKR
from .lora import LORA
from .lora_plus import LORA_PLUS
from .oft import OFT
from .olora import OLORA
from .pissa import PISSA
from .prompt import P_TUNING, PREFIX_TUNING, PROMPT_TUNING
from .qlora import QLORA
from .randlora import RANDLORA
from .rslora import RSLORA
from .shira import SHIRA
from .vera import VERA

METHODS: dict[MethodType, MethodDefaults] = {
    MethodType.FULL: FULL,
    MethodType.LORA: LORA,
    MethodType.RSLORA: RSLORA,
    MethodType.LORA_PLUS: LORA_PLUS,
    MethodType.PISSA: PISSA,
    MethodType.OLORA: OLORA,
    MethodType.DORA: DORA,
    MethodType.QLORA: QLORA,
    MethodType.LOFTQ: LOFTQ,
    MethodType.ADALORA: ADALORA,
    MethodType.VERA: VERA,
    MethodType.RANDLORA: RANDLORA,
    MethodType.LOHA: LOHA,
    MethodType.LOKR: LOKR,
    MethodType.SHIRA: SHIRA,
    MethodType.FOURIERFT: FOURIERFT,
    MethodType.OFT: OFT,
    MethodType.BOFT: BOFT,
    MethodType.IA3: IA3,
    MethodType.PREFIX_TUNING: PREFIX_TUNING,
    MethodType.PROMPT_TUNING: PROMPT_TUNING,
    MethodType.P_TUNING: P_TUNING,
}

__all__ = ["METHODS", "Base", "MethodDefaults"]
