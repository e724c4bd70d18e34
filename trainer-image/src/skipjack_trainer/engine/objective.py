"""What is minimised: a task's loss of a model, in the arithmetic of the spec."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

from ..methods import METHODS
from ..model import DTYPES
from ..quantize import elements
from ..tasks import TASKS
from ..tasks.base import MicroBatch


class Objective(torch.nn.Module):
    """A module of its own, since a strategy may wrap it: autocast then is inside of whatever the wrapper does."""

    def __init__(self, model: Any, spec: ResolvedSpec, device: torch.device) -> None:
        super().__init__()
        assert spec.task is not None, "resolve_data settles it"
        self.model, self.device = model, device
        self.method = METHODS[spec.method.type]
        self.task, self.dtype = TASKS[spec.task], DTYPES.get(spec.compute.precision)
        self.trainable_parameters = sum(parameter.numel() for _, parameter in trained(model))
        self.total_parameters = sum(elements(parameter) for parameter in model.parameters())

    def forward(self, batch: MicroBatch) -> tuple[torch.Tensor, float]:
        with self.autocast():
            return self.task(self.model, batch)

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, self.dtype) if self.dtype else nullcontext()


def trained(model: Any) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
