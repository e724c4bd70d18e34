"""What is minimised: a task's loss of a model, in the arithmetic of the spec."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

from ..methods import METHODS
from ..model import DTYPES
from ..quantize import elements
from ..tasks import Recipe


class Objective(torch.nn.Module):
    """A module of its own, since a strategy may wrap it: autocast then is inside of whatever the wrapper does."""

    def __init__(self, model: Any, recipe: Recipe, spec: ResolvedSpec, device: torch.device) -> None:
        super().__init__()
        self.model, self.recipe, self.spec, self.device = model, recipe, spec, device
        self.method = METHODS[spec.method.type]
        self.trainable_parameters = sum(parameter.numel() for _, parameter in trained(model))
        self.total_parameters = sum(elements(parameter) for parameter in model.parameters())

    def forward(self, batch: Any) -> tuple[torch.Tensor, float]:
        with self.autocast():
            return self.recipe.loss(self.model, batch, self.spec)

    def autocast(self) -> AbstractContextManager[Any]:
        return autocast(self.spec, self.device)


def autocast(spec: ResolvedSpec, device: torch.device) -> AbstractContextManager[Any]:
    """The arithmetic of the spec."""
    dtype = DTYPES.get(spec.compute.precision)
    return torch.autocast(device.type, dtype) if dtype else nullcontext()


def trained(model: Any) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
