"""One process, or data-parallel ones that each hold all of the model. A rank with no micro-batch in a step gives zeros."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

from ...methods.base import Tensors
from ...tasks.base import MicroBatch
from ..objective import Objective, trained
from ..peers import Peers
from .base import MOMENTS, prepare, set_rate, set_step


class Replicated:
    ranks_go_together = False

    def __init__(
        self, objective: Objective, optimizer: torch.optim.Optimizer, spec: ResolvedSpec, peers: Peers, scratch: Path
    ) -> None:
        self.objective, self.optimizer, self.peers = objective, optimizer, peers
        self.parameters = dict(trained(objective.model))
        self.steps = 0
        prepare(optimizer, self.parameters.values())

    def __call__(self, batch: MicroBatch) -> tuple[torch.Tensor, float]:
        loss: tuple[torch.Tensor, float] = self.objective(batch)
        return loss

    def backward(self, loss: torch.Tensor, scale: float) -> None:
        (loss * scale).backward()

    def step(self, rate: float, scale: float, max_norm: float) -> float:
        parameters = list(self.parameters.values())
        self.peers.sum_gradients(parameters)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if scale != 1:
            torch._foreach_div_(gradients, scale)
        norm = float(torch.nn.utils.clip_grad_norm_(parameters, max_norm))
        set_rate(self.optimizer, rate)
        if math.isfinite(norm):
            self.optimizer.step()
            self.steps += 1
            self.objective.method.after_step(self.objective.model, self.steps)
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def states(self) -> Iterator[tuple[str, Tensors]]:
        for name, parameter in self.parameters.items():
            state = self.optimizer.state[parameter]
            yield name, {"weight": parameter.detach()} | {moment: state[moment] for moment in MOMENTS}

    @torch.no_grad()
    def take(self, name: str, state: Mapping[str, torch.Tensor]) -> None:
        parameter = self.parameters[name]
        parameter.copy_(state["weight"])
        for moment in MOMENTS:
            self.optimizer.state[parameter][moment].copy_(state[moment])

    def take_step(self, step: int) -> None:
        self.steps = step
        set_step(self.optimizer, step)

    @contextmanager
    def whole(self) -> Iterator[dict[str, Any]]:
        yield {}
