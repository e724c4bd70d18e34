"""The interface of a method: how it is attached, and what it asks of the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Method:
    """A method. All but `attach` is for those that need more of the engine than parameters that require gradients."""

    attach: Callable[[Any, ResolvedSpec], Any]
    """(model, spec) → the model to train: parameters that require gradients are trained, `save_pretrained` writes the result."""
    rate_factor: Callable[[str, ResolvedSpec], float] = lambda name, spec: 1.0
    """How many times the learning rate the parameter of that name learns at."""
    penalty: Callable[[Any], torch.Tensor | float] = lambda model: 0.0
    """Of the model's weights, added to the mean loss of a step; it is not told as loss."""
    after_step: Callable[[Any, int], None] = lambda model, step: None
    """Called once the optimiser has made `step` (from 1), while the step's gradients are still there."""
    extra_state: Callable[[Any], Tensors] = lambda model: {}
    """What a checkpoint must hold beside parameters that require gradients."""
    take_extra: Callable[[Any, Mapping[str, torch.Tensor]], None] = lambda model, state: None
    """Sets what `extra_state` gave."""
    untouched: Callable[[Any], AbstractContextManager[Any]] = lambda model: nullcontext()
    """Within it the model answers as before it was tuned; for methods that change its answers by being attached."""
