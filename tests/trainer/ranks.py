"""Ranks that are processes forked from the test's own, which has imported torch and DeepSpeed once for all of them."""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import NoReturn, TypeVar

import torch

from skipjack_trainer.engine.peers import Gang

T = TypeVar("T")

PATIENCE_SECONDS = 90


def together(world: int, work: Callable[[Gang], T]) -> list[T]:
    """What each rank's `work` returned, by rank. Raises AssertionError with a rank's traceback, or when they hang."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    started = []
    for number in range(world):
        hears, says = fork.Pipe(duplex=False)
        process = fork.Process(target=rank, args=(number, world, port, work, says), daemon=True)
        process.start()
        says.close()
        started.append((process, hears))
    try:
        said = [heard(hears) for _, hears in started]
    finally:
        for process, _ in started:
            process.kill()
            process.join()
    faults = [word for did_end, word in said if not did_end]
    assert not faults, "\n=====\n".join(faults)
    return [word for _, word in said]


def heard(hears: Connection) -> tuple[bool, object]:
    if not hears.poll(PATIENCE_SECONDS):
        return False, "it hangs"
    try:
        return hears.recv()
    except EOFError:
        return False, "it ended without a word"


def rank(number: int, world: int, port: int, work: Callable[[Gang], object], says: Connection) -> NoReturn:
    """The child: never comes back into the test."""
    os.environ |= {
        "RANK": str(number), "LOCAL_RANK": str(number), "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo",
    }  # fmt: skip
    try:
        torch.set_num_threads(1)
        says.send((True, work(Gang(timedelta(seconds=30), timedelta(seconds=60)))))
    except BaseException:  # noqa: BLE001 -- nothing may unwind into the test that was forked
        says.send((False, traceback.format_exc()))
    os._exit(0)
