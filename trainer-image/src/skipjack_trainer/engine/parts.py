"""What a checkpoint holds: whole tensors by the names of their parameters, written in parts and put back one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from ..errors import ConfigurationInvalid
from ..methods.base import Method, Tensors
from .objective import trained
from .strategies import Strategy

EXTRA = "extra"
PART_BYTES = 2**30
"""A rank holds about so much of a checkpoint in memory, and on its scratch volume, at a time."""


def parts(strategy: Strategy) -> Iterator[dict[str, torch.Tensor]]:
    """What this rank writes, in parts of about PART_BYTES: of every world-th entry `KIND:NAME` → tensor, in host memory."""
    part: dict[str, torch.Tensor] = {}
    for number, (name, state) in enumerate(chain(strategy.states(), extras(strategy))):
        if number % strategy.peers.world == strategy.peers.rank:
            part |= {f"{kind}:{name}": tensor.cpu().contiguous() for kind, tensor in state.items()}
        if sum(tensor.nbytes for tensor in part.values()) >= PART_BYTES:
            yield part
            part = {}
    if part:
        yield part


def take(
    model: Any, method: Method, files: list[Path], device: torch.device, put: Callable[[str, Tensors], None]
) -> None:
    """Puts each parameter's state from the parts, one at a time and in the same order on all ranks. Raises ConfigurationInvalid."""
    with ExitStack() as opened:
        kinds: dict[str, dict[str, Any]] = {}
        for file in files:
            part = opened.enter_context(safe_open(file, "pt"))
            for key in part.keys():  # noqa: SIM118 -- it is no dictionary
                kind, _, name = key.partition(":")
                kinds.setdefault(name, {})[kind] = part
        refuse_others(model, {name for name, parts_of in kinds.items() if EXTRA not in parts_of})
        extra: dict[str, torch.Tensor] = {}
        for name, parts_of in sorted(kinds.items()):
            state = {kind: part.get_tensor(f"{kind}:{name}").to(device) for kind, part in parts_of.items()}
            if EXTRA in state:
                extra[name] = state[EXTRA]
            else:
                put(name, state)
        method.take_extra(model, extra)


@torch.no_grad()
def take_weights(model: Any, method: Method, files: list[Path]) -> None:
    """Gives a model that no strategy has laid out yet the weights alone. Raises ConfigurationInvalid."""
    parameters = dict(trained(model))

    def put(name: str, state: Tensors) -> None:
        parameters[name].copy_(state["weight"])

    take(model, method, files, next(iter(parameters.values())).device, put)


def refuse_others(model: Any, stored: set[str]) -> None:
    """Raises ConfigurationInvalid where what was trained then is not what is trained now."""
    here = {name for name, _ in trained(model)}
    if stored != here:
        only = [min(some, default="nothing more") for some in (stored - here, here - stored)]
        raise ConfigurationInvalid(
            f"the checkpoint holds {only[0]}, this job trains {only[1]}: method, its settings and model must be those that it was made with."
        )


def extras(strategy: Strategy) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """What the method keeps beside parameters, the same on all ranks."""
    objective = strategy.objective
    yield from ((name, {EXTRA: tensor}) for name, tensor in objective.method.extra_state(objective.model).items())
