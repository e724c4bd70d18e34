"""The processes that train together: what they tell each other and where they wait for each other."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist

from ..errors import PeerLost

T = TypeVar("T")

STEP_TIMEOUT = timedelta(minutes=10)
WAITING_TIMEOUT = timedelta(days=7)
"""For what one rank does while the others wait: answering prompts, storing a model over a slow line. A peer whose
connection breaks is noticed at once all the same."""


class Peers(Protocol):
    rank: int
    world: int

    def total(self, values: list[float]) -> list[float]:
        """The values, each summed over all ranks."""
        ...

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """The gradients, each summed over all ranks. Where a rank has none it counts as zeros."""
        ...

    def everyones(self, value: T) -> list[T]:
        """The value of each rank, by rank. Waits however long the others work."""
        ...

    def barrier(self) -> None:
        """Waits for every rank, however long it has to work."""
        ...

    def leave(self) -> None:
        """Waits for every rank, then parts from them in good order."""
        ...


class Alone:
    """One process."""

    rank = 0
    world = 1

    def total(self, values: list[float]) -> list[float]:
        return values

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        return

    def everyones(self, value: T) -> list[T]:
        return [value]

    def barrier(self) -> None:
        return

    def leave(self) -> None:
        return


class Gang:
    """Processes in one process group, even if it is a group of one.

    Gradients go where they lie, numbers and waiting always by gloo: it raises when a peer is gone, where nccl's watchdog
    would abort the process without a word.
    """

    def __init__(self, step_timeout: timedelta, waiting_timeout: timedelta) -> None:
        backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        # A group of one needs no place to meet.
        store = dist.HashStore() if world == 1 else None
        with losing_peers():
            dist.init_process_group(backends, timeout=step_timeout, store=store, rank=rank, world_size=world)
            self.waiting = dist.new_group(backend="gloo", timeout=waiting_timeout)
        self.rank, self.world = rank, world

    def total(self, values: list[float]) -> list[float]:
        return self._sum(torch.tensor(values, dtype=torch.float64)).tolist()

    def sum_gradients(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        """One flat reduction: the same order of additions on every rank."""
        flat = torch.cat([(p.grad if p.grad is not None else torch.zeros_like(p)).flatten() for p in parameters])
        self._sum(flat)
        offset = 0
        for parameter in parameters:
            parameter.grad = flat[offset : offset + parameter.numel()].view_as(parameter).clone()
            offset += parameter.numel()

    def everyones(self, value: T) -> list[T]:
        values: list[Any] = [None] * self.world
        with losing_peers():
            dist.all_gather_object(values, value, group=self.waiting)
        return values

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
    """What torch raises when a peer is gone, as PeerLost. Errors of anything else pass through."""
    try:
        yield
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise PeerLost(f"another process of the gang is gone: {str(error).splitlines()[0]}") from error


def join(needs_group: bool) -> Peers:
    """This process's peers, as the launcher set them up; alone it has a group only if it `needs_group`."""
    if needs_group or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return Gang(STEP_TIMEOUT, WAITING_TIMEOUT)
    return Alone()
