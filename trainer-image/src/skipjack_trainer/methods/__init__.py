"""How each method changes a model. What a method is (settings, defaults) lives in `skipjack.methods`."""

from __future__ import annotations

from typing import Any

from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import ResolvedSpec

from ..diffusion.diffuser import Diffuser
from . import adalora, basis, boft, full, ia3, loftq, lora, lycoris, oft, prompt, shira, split
from .base import Method
from .fits import refuse_head, refuse_unfit

METHODS: dict[MethodType, Method] = {
    MethodType.FULL: full.FULL,
    MethodType.LORA: lora.LORA,
    MethodType.RSLORA: lora.LORA,
    MethodType.LORA_PLUS: lora.LORA,
    MethodType.PISSA: split.PISSA,
    MethodType.OLORA: split.OLORA,
    MethodType.DORA: lora.LORA,
    MethodType.QLORA: lora.LORA,
    MethodType.LOFTQ: loftq.LOFTQ,
    MethodType.ADALORA: adalora.ADALORA,
    MethodType.VERA: basis.VERA,
    MethodType.RANDLORA: basis.RANDLORA,
    MethodType.LOHA: lycoris.LOHA,
    MethodType.LOKR: lycoris.LOKR,
    MethodType.SHIRA: shira.SHIRA,
    MethodType.FOURIERFT: basis.FOURIERFT,
    MethodType.OFT: oft.OFT,
    MethodType.BOFT: boft.BOFT,
    MethodType.IA3: ia3.IA3,
    MethodType.PREFIX_TUNING: prompt.PREFIX_TUNING,
    MethodType.PROMPT_TUNING: prompt.PROMPT_TUNING,
    MethodType.P_TUNING: prompt.P_TUNING,
}


def attached(base: Any, spec: ResolvedSpec) -> Any:
    """The model to train: `base` with the spec's method on it, or on its UNet if it is a diffusion model."""
    attach = METHODS[spec.method.type].attach
    if isinstance(base, Diffuser):
        return base.tune(lambda unet: attach(unet, spec))
    return attach(base, spec)


__all__ = ["METHODS", "Method", "attached", "refuse_head", "refuse_unfit"]
