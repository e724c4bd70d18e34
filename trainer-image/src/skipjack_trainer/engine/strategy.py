"""How ranks work together: alone, or as data-parallel peers that add up their gradients."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol

import torch
import torch.distributed as dist

from ..errors import PeerLost

STEP_TIMEOUT = timedelta(minutes=10)
WAITING_TIMEOUT = timedelta(days=7)
"""For what one rank does while the others wait: answering prompts, storing a model over a slow line. A peer whose
connection breaks is noticed at once all the same."""


class Strategy(Protocol):
    rank: int
    world: int

    def total(self, values: list[float]) -> list[float]:
        """The values, each summed over all ranks."""
        ...

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None: ...

    def barrier(self) -> None:
        """Waits for every rank, however long it has to work."""
        ...

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
    """Peers that each hold the whole model. A rank with no micro-batch in a step gives zeros.

    Gradients go where they lie, numbers and waiting always by gloo: it raises when a peer is gone, where nccl's watchdog
    would abort the process without a word.
    """

    def __init__(self, step_timeout: timedelta, waiting_timeout: timedelta) -> None:
        backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        with losing_peers():
            dist.init_process_group(backends, timeout=step_timeout)
            self.waiting = dist.new_group(backend="gloo", timeout=waiting_timeout)
        self.rank, self.world = dist.get_rank(), dist.get_world_size()

    def total(self, values: list[float]) -> list[float]:
        return self._sum(torch.tensor(values, dtype=torch.float64)).tolist()

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """One flat reduction: the same order of additions on every rank."""
        learnt = list(parameters)
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in learnt])
        self._sum(flat)
        offset = 0
        for parameter in learnt:
            parameter.grad = flat[offset : offset + parameter.numel()].view_as(parameter).clone()
            offset += parameter.numel()

    def barrier(self) -> None:
        self._sum(torch.zeros(1), self.waiting)

    def leave(self) -> None:
        self.barrier()
        # Sockets that are left to the interpreter's end can abort a rank that has done its work.
        dist.destroy_process_group()

    def _sum(self, tensor: torch.Tensor, group: Any = None) -> torch.Tensor:
        with losing_peers():
            dist.all_reduce(tensor, group=group)
        return tensor


@contextmanager
def losing_peers() -> Iterator[None]:
    """What torch raises when a peer is gone, as PeerLost."""
    try:
        yield
    except RuntimeError as error:
        raise PeerLost(f"another process of the gang is gone: {str(error).splitlines()[0]}") from error


def join() -> Strategy:
    """The strategy of this process, as the launcher set it up."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return DataParallel(STEP_TIMEOUT, WAITING_TIMEOUT)
    return Single()
