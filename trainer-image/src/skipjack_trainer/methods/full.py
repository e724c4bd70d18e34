"""Full fine-tuning: every weight is trained."""

from __future__ import annotations

from typing import Any

from skipjack.resolve import ResolvedSpec

from .base import Method


def attach(model: Any, spec: ResolvedSpec) -> Any:
    return model.requires_grad_(True)


FULL = Method(attach)
