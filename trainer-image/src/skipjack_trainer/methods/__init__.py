"""How each method changes a model. What a method is (settings, defaults) lives in `skipjack.methods`."""

from __future__ import annotations

from skipjack.api.v1alpha1.method import MethodType

from . import full, lora
from .base import Attach

METHODS: dict[MethodType, Attach] = {
    MethodType.LORA: lora.attach,
    MethodType.FULL: full.attach,
}

__all__ = ["METHODS", "Attach"]
