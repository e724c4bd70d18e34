"""Methods that learn coefficients of a basis which is drawn once: VeRA, RandLoRA, FourierFT."""

from __future__ import annotations

from typing import Any

from skipjack.resolve import ResolvedSpec

from .adapt import adapt, targets
from .base import Method


def attach_vera(model: Any, spec: ResolvedSpec) -> Any:
    from peft import VeraConfig

    settings = spec.method.lora
    assert settings is not None, "resolve_spec settles it"
    config = VeraConfig(
        r=settings.rank,
        vera_dropout=settings.dropout,
        target_modules=targets(model, settings.target_modules),
        projection_prng_key=spec.hyperparameters.seed,
    )
    return adapt(model, config, spec)


def attach_randlora(model: Any, spec: ResolvedSpec) -> Any:
    from peft import RandLoraConfig

    settings = spec.method.lora
    assert settings is not None, "resolve_spec settles it"
    config = RandLoraConfig(
        r=settings.rank,
        randlora_alpha=settings.alpha,
        randlora_dropout=settings.dropout,
        target_modules=targets(model, settings.target_modules),
        projection_prng_key=spec.hyperparameters.seed,
    )
    return adapt(model, config, spec)


def attach_fourierft(model: Any, spec: ResolvedSpec) -> Any:
    from peft import FourierFTConfig

    settings = spec.method.fourier
    assert settings is not None, "resolve_spec settles it"
    config = FourierFTConfig(
        n_frequency=settings.frequencies,
        scaling=settings.scaling,
        random_loc_seed=spec.hyperparameters.seed,
        target_modules=targets(model, settings.target_modules),
        # A spectrum of zeros, so that the model begins as it was; PEFT's own default draws one.
        init_weights=True,
    )
    return adapt(model, config, spec)


VERA = Method(attach_vera)
RANDLORA = Method(attach_randlora)
FOURIERFT = Method(attach_fourierft)
