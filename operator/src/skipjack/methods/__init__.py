"""What each method is: its settings, its defaults, what it refuses. How it is attached to a model lives in the trainer."""

from __future__ import annotations

from ..api.v1alpha1.finetunejob import MethodType
from .base import MethodDefaults
from .full import FULL
from .lora import LORA

METHODS: dict[MethodType, MethodDefaults] = {
    MethodType.LORA: LORA,
    MethodType.FULL: FULL,
}

__all__ = ["METHODS", "MethodDefaults"]
