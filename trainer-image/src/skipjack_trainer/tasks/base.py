"""The interface of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..fast.attention import Segments


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One forward pass. Packed: [1, T] with `position_ids` that start anew at each example, `segments`, and no mask.
    Padded: [n, L] with `attention_mask`. `weights` has the shape of `input_ids`. What the host knows of it stands beside it, so
    that nothing has to be fetched from an accelerator."""

    input_ids: torch.Tensor
    weights: torch.Tensor
    learnt: torch.Tensor
    """int64 [learnt]: where in the flattened `weights` there is one."""
    weight: float
    """Sum of `weights`."""
    position_ids: torch.Tensor | None = None
    segments: Segments | None = None
    attention_mask: torch.Tensor | None = None

    def places(self) -> dict[str, Any]:
        """What tells a model which tokens see which."""
        if self.segments is None:
            return {"attention_mask": self.attention_mask}
        return {"position_ids": self.position_ids, "segments": self.segments}


Loss = Callable[[Any, MicroBatch], tuple[torch.Tensor, float]]
