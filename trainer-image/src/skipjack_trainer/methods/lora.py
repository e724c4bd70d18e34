"""LoRA and what differs from it by settings alone: rsLoRA, LoRA+, DoRA, QLoRA."""

from __future__ import annotations

from typing import Any

from skipjack.resolve import ResolvedSpec

from .adapt import adapt, targets
from .base import Method


def attach(model: Any, spec: ResolvedSpec) -> Any:
    """The model with low-rank adapters beside its linear layers. Raises ConfigurationInvalid."""
    return adapt(model, lora_config(model, spec), spec)


def lora_config(model: Any, spec: ResolvedSpec, start: bool | str = True) -> Any:
    """PEFT's configuration; the adapter begins as PEFT's `init_lora_weights` calls it."""
    from peft import LoraConfig

    settings = spec.method.lora
    assert settings is not None, "resolve_spec settles it"
    assert settings.alpha is not None, "resolve_spec settles it"
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout or 0.0,
        target_modules=targets(model, settings.target_modules),
        use_dora=settings.dora,
        use_rslora=settings.rank_stabilized,
        init_lora_weights=start,
    )


def rate_factor(name: str, spec: ResolvedSpec) -> float:
    """LoRA+: the B matrices learn faster."""
    settings = spec.method.lora
    assert settings is not None, "resolve_spec settles it"
    return settings.learning_rate_ratio if ".lora_B." in name else 1.0


LORA = Method(attach, rate_factor)
