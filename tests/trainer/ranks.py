"""Ranks that are processes forked from the test's own, which has imported torch and DeepSpeed once for all of them."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from typing import NoReturn, TypeVar

import torch
from tests.trainer.ports import free_port

from skipjack_trainer.engine.peers import Gang

T = TypeVar("T")

PATIENCE_SECONDS = 300


def together(world: int, work: Callable[[Gang], T]) -> list[T]:
    """What each rank's `work` returned, by rank. Raises AssertionError with a rank's traceback, or when they hang."""
    port = free_port()
    fork = multiprocessing.get_context("fork")
    started = []
    for number in range(world):
        hears, says = fork.Pipe(duplex=False)
        process = fork.Process(target=rank, args=(number, world, port, work, says), daemon=True)
        process.start()
        says.close()
        started.append((process, hears))
    said: dict[int, T] = {}
    waiting = {hears: number for number, (_, hears) in enumerate(started)}
    try:
        while waiting:
            heard = wait(list(waiting), PATIENCE_SECONDS)
            assert heard, f"ranks {sorted(waiting.values())} hang"
            for hears in heard:
                number = waiting.pop(hears)
                did_end, words = hears.recv()
                assert did_end, f"rank {number}: {words}"
                said[number] = words
    finally:
        for process, _ in started:
            process.kill()
            process.join()
    return [said[number] for number in range(world)]


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
