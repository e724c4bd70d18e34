"""SHiRA: a sparse share of the weights themselves is trained."""

from __future__ import annotations

from typing import Any

from skipjack.resolve import ResolvedSpec

from .adapt import adapt, targets
from .base import Method


def attach(model: Any, spec: ResolvedSpec) -> Any:
    from peft import ShiraConfig

    settings = spec.method.lora
    assert settings is not None, "resolve_spec settles it"
    config = ShiraConfig(
        r=settings.rank,
        random_seed=spec.hyperparameters.seed,
        target_modules=targets(model, settings.target_modules),
    )
    return adapt(model, config, spec)


SHIRA = Method(attach)
