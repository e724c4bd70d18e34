"""Layers that compute what the stock ones do, in less time and memory. Parameters stay where PEFT and transformers have them."""

from __future__ import annotations

from typing import Any

from . import lora, norm


def quicken(model: Any) -> Any:
    """The model that is to be trained, with fast layers wherever they compute exactly what stands there."""
    lora.quicken(model)
    norm.quicken(model)
    return model


__all__ = ["quicken"]
