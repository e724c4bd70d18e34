"""How ranks work together: alone, or as data-parallel peers that add up their gradients."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

import torch
import torch.distributed as dist

from ..errors import PeerLost

PEER_TIMEOUT = timedelta(minutes=10)


class Strategy(Protocol):
    rank: int
    world: int

    def total(self, values: list[float]) -> list[float]:
        """The values, each summed over all ranks."""
        ...

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None: ...

    def barrier(self) -> None: ...

    def leave(self) -> None:
        """Waits for every rank, then parts from them in good order."""
        ...


class Single:
    """One process."""

    rank = 0
    world = 1

    def total(self, values: list[float]) -> list[float]:
        return values

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        return

    def barrier(self) -> None:
        return

    def leave(self) -> None:
        return


class DataParallel:
    """Peers that each hold the whole model. A rank with no micro-batch in a step gives zeros."""

    def __init__(self, device: torch.device) -> None:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PEER_TIMEOUT)
        self.rank, self.world, self.device = dist.get_rank(), dist.get_world_size(), device

    def total(self, values: list[float]) -> list[float]:
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        self._reduce(tensor)
        return [float(value) for value in tensor]

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """One flat reduction: the same order of additions on every rank."""
        learnt = list(parameters)
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in learnt])
        self._reduce(flat)
        offset = 0
        for parameter in learnt:
            parameter.grad = flat[offset : offset + parameter.numel()].view_as(parameter).clone()
            offset += parameter.numel()

    def barrier(self) -> None:
        self.total([0.0])

    def leave(self) -> None:
        self.barrier()
        # Sockets that are left to the interpreter's end can abort a rank that has done its work.
        dist.destroy_process_group()

    def _reduce(self, tensor: torch.Tensor) -> None:
        try:
            dist.all_reduce(tensor)
        except RuntimeError as error:
            raise PeerLost(f"another pod of the gang is gone: {str(error).splitlines()[0]}") from error


def join(device: torch.device) -> Strategy:
    """The strategy of this process, as the launcher set it up."""
    return DataParallel(device) if int(os.environ.get("WORLD_SIZE", "1")) > 1 else Single()
