"""Ranks that wait for each other, in processes of their own: long work of one is waited for, a lost one is noticed at once."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import pytest
import torch
from tests.trainer.ports import free_port

from skipjack_trainer.engine.peers import Gang
from skipjack_trainer.errors import PeerLost

Work = Callable[[Gang], object]


def rank(number: int, port: int, work: Work, says: Connection) -> None:
    os.environ |= {
        "RANK": str(number), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    peers = Gang(step_timeout=timedelta(seconds=2), waiting_timeout=timedelta(minutes=5))
    peers.barrier()
    says.send("joined")
    try:
        says.send(work(peers))
    except PeerLost as lost:
        says.send(str(lost))
    os._exit(0)


def two(work: Work) -> list[tuple[BaseProcess, Connection]]:
    """Two ranks that have joined and do `work`; steps time out after 2 s. Forked: that spares importing torch twice."""
    port = free_port()
    fork = multiprocessing.get_context("fork")
    started = []
    for number in (0, 1):
        hears, says = fork.Pipe(duplex=False)
        process = fork.Process(target=rank, args=(number, port, work, says), daemon=True)
        process.start()
        started.append((process, hears))
    assert [hears.recv() for _, hears in started] == ["joined", "joined"]
    return started


def said(started: tuple[BaseProcess, Connection]) -> object:
    process, hears = started
    assert hears.poll(30), "it hangs"
    words = hears.recv()
    process.join(10)
    return words


def barrier(peers: Gang) -> str:
    peers.barrier()
    return "together"


def total(peers: Gang) -> str:
    peers.total([1.0])
    return "together"


@pytest.mark.parametrize(("wait", "is_waited_for"), [(barrier, True), (total, False)])
def test_work_of_rank_0_that_outlasts_a_steps_timeout_is_waited_for_at_a_barrier_alone(
    wait: Callable[[Gang], str], is_waited_for: bool
) -> None:
    def work(peers: Gang) -> str:
        time.sleep(4 if peers.rank == 0 else 0)
        return wait(peers)

    assert (said(two(work)[1]) == "together") is is_waited_for


def test_a_peer_that_dies_is_noticed_at_once_by_those_who_wait() -> None:
    def work(peers: Gang) -> str:
        time.sleep(60 if peers.rank == 0 else 0)
        return barrier(peers)

    dying, waiting = two(work)
    time.sleep(0.3)
    dying[0].kill()
    killed = time.monotonic()
    assert str(said(waiting)).startswith("another process of the gang is gone")
    assert time.monotonic() - killed < 5


def test_gradients_and_numbers_add_up_over_all_ranks_and_a_missing_gradient_counts_as_zero() -> None:
    def work(peers: Gang) -> list[float]:
        first, second = (torch.nn.Parameter(torch.zeros(n)) for n in (2, 3))
        first.grad = torch.full((2,), 1.0 + peers.rank)
        if peers.rank:
            second.grad = torch.ones(3)
        peers.sum_gradients([first, second])
        assert first.grad is not None
        assert second.grad is not None
        added = [*first.grad.tolist(), *second.grad.tolist(), *peers.total([0.1, float(peers.rank)])]
        peers.leave()
        return added

    assert [said(one) for one in two(work)] == [[3.0, 3.0, 1.0, 1.0, 1.0, 0.2, 1.0]] * 2
