"""OFT: each layer's input is rotated, block by block."""

from __future__ import annotations

from typing import Any

from skipjack.resolve import ResolvedSpec

from .adapt import adapt, targets
from .base import Method


def attach(model: Any, spec: ResolvedSpec) -> Any:
    from peft import OFTConfig

    settings = spec.method.orthogonal
    assert settings is not None, "resolve_spec settles it"
    config = OFTConfig(
        r=0,
        oft_block_size=settings.block_size,
        module_dropout=settings.dropout,
        target_modules=targets(model, settings.target_modules),
    )
    return adapt(model, config, spec)


OFT = Method(attach)
