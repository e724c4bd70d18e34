"""How a model lies on the ranks that train it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from skipjack.api.v1alpha1.compute import Strategy as Kind
from skipjack.resolve import ResolvedSpec

from ..objective import Objective
from ..peers import Peers
from .base import Strategy
from .replicated import Replicated
from .zero import Zero

STRATEGIES: dict[Kind, Callable[[Objective, torch.optim.Optimizer, ResolvedSpec, Peers, Path], Strategy]] = {
    Kind.DDP: Replicated,
    Kind.ZERO1: Zero,
    Kind.ZERO2: Zero,
    Kind.ZERO3: Zero,
}
"""The last argument is a folder on the node's own disk."""

__all__ = ["STRATEGIES", "Strategy"]
