"""LoHa and LoKr: updates that are products of matrices other than one after the other."""

from __future__ import annotations

from typing import Any

from skipjack.resolve import ResolvedSpec

from .adapt import adapt, targets
from .base import Method


def attach_loha(model: Any, spec: ResolvedSpec) -> Any:
    from peft import LoHaConfig

    settings = spec.method.lora
    assert settings is not None, "resolve_spec settles it"
    config = LoHaConfig(r=settings.rank, alpha=settings.alpha, target_modules=targets(model, settings.target_modules))
    return adapt(model, config, spec)


def attach_lokr(model: Any, spec: ResolvedSpec) -> Any:
    from peft import LoKrConfig

    settings = spec.method.lora
    assert settings is not None, "resolve_spec settles it"
    config = LoKrConfig(r=settings.rank, alpha=settings.alpha, target_modules=targets(model, settings.target_modules))
    return adapt(model, config, spec)


LOHA = Method(attach_loha)
LOKR = Method(attach_lokr)
