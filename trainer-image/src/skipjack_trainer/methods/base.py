"""The interface of a method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skipjack.resolve import ResolvedSpec

Attach = Callable[[Any, ResolvedSpec], Any]
"""(model, spec) → the model to train: parameters that require gradients are trained, `save_pretrained` writes the result."""
