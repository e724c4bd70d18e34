"""The interface of a strategy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

from ...methods.base import Tensors
from ..objective import Objective
from ..peers import Peers

MOMENTS = ("exp_avg", "exp_avg_sq")
"""What AdamW keeps of each parameter, beside its step: the run's own, since every step is one of every parameter."""


class Strategy(Protocol):
    """A model in training, and how its weights, gradients and optimiser state lie on the ranks."""

    objective: Objective
    peers: Peers

    @property
    def ranks_go_together(self) -> bool:
        """Whether each forward and backward pass takes all ranks at once: those with less to do then fill up."""
        ...

    def __call__(self, batch: Any) -> tuple[torch.Tensor, float]:
        """The loss, summed over the batch's weights, and the sum of those."""
        ...

    def backward(self, loss: torch.Tensor, scale: float) -> None:
        """Adds the gradients of scale · loss to those of this step."""
        ...

    def step(self, rate: float, scale: float, max_norm: float) -> float:
        """Adds up the step's gradients over all ranks, divides by `scale`, clips, updates, and forgets them.

        The norm before clipping. If it isn't finite, nothing was updated.
        """
        ...

    def states(self) -> Iterator[tuple[str, Tensors]]:
        """Each trained parameter whole: its name, and in fp32 its weight and MOMENTS. Every rank must go through all of it."""
        ...

    def take(self, name: str, state: Mapping[str, torch.Tensor]) -> None:
        """Sets what `states` gave. Every rank must take the same."""
        ...

    def take_step(self, step: int) -> None:
        """Sets how many steps the optimiser has made."""
        ...

    def whole(self) -> AbstractContextManager[dict[str, Any]]:
        """Within it rank 0 can call `save_pretrained`, with these arguments beside its own. Every rank must enter it."""
        ...


def prepare(
    optimizer: torch.optim.Optimizer,
    parameters: Iterable[torch.Tensor],
    zeros_like: Callable[[torch.Tensor], torch.Tensor] = torch.zeros_like,
) -> None:
    """Makes the state that AdamW would make in its first step: what is there always can be stored and brought back alike."""
    for parameter in parameters:
        step = torch.zeros((), dtype=torch.float32, device=parameter.device)
        optimizer.state[parameter] = {"step": step} | {moment: zeros_like(parameter) for moment in MOMENTS}


def set_step(optimizer: torch.optim.Optimizer, step: int) -> None:
    for state in optimizer.state.values():
        state["step"].fill_(step)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
