"""The interface of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One forward pass. Packed: [1, T] with `position_ids` that start anew at each example, and no mask.
    Padded: [n, L] with `attention_mask`. `weights` has the shape of `input_ids`."""

    input_ids: torch.Tensor
    weights: torch.Tensor
    position_ids: torch.Tensor | None = None
    attention_mask: torch.Tensor | None = None


Loss = Callable[[Any, MicroBatch], tuple[torch.Tensor, float]]
