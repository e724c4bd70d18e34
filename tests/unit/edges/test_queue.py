"""The work queue: each key once, never two workers on one, errors ever later."""

from __future__ import annotations

import asyncio

import pytest

from skipjack_operator.queue import Queue

A, B = ("ns", "a"), ("ns", "b")


async def test_a_key_that_waits_is_not_added_twice() -> None:
    keys = Queue()
    for key in (A, B, A):
        await keys.add(key)
    assert [await keys.take(), await keys.take()] == [A, B]
    assert len(keys) == 0


async def test_news_of_a_key_in_work_brings_it_again_when_that_is_done_and_not_before() -> None:
    keys = Queue()
    await keys.add(A)
    assert await keys.take() == A
    await keys.add(A)
    assert len(keys) == 0, "another worker would take it"
    await keys.done(A)
    assert await keys.take() == A


async def test_a_worker_waits_for_a_key() -> None:
    keys = Queue()
    waiting = asyncio.create_task(keys.take())
    await asyncio.sleep(0)
    await keys.add(A)
    assert await asyncio.wait_for(waiting, 1) == A


async def test_of_two_times_to_look_again_the_earlier_counts() -> None:
    keys = Queue()
    keys.add_later(A, 0.01)
    keys.add_later(A, 3600)
    keys.add_later(B, 3600)
    keys.add_later(B, 0.02)
    assert [await asyncio.wait_for(keys.take(), 1) for _ in range(2)] == [A, B]


async def test_pauses_double_with_failures_and_success_forgets_them() -> None:
    keys = Queue()
    assert await pauses_of(keys, 4) == pytest.approx([0.4, 0.8, 1.6, 3.2], rel=0.1)
    await keys.done(A)
    assert await pauses_of(keys, 1) == pytest.approx([0.4], rel=0.1)


async def pauses_of(keys: Queue, failures: int) -> list[float]:
    """How long each of so many failures in a row puts key A off."""
    pauses = []
    for _ in range(failures):
        await keys.add(A)
        assert await keys.take() == A
        began = asyncio.get_running_loop().time()
        await keys.failed(A)
        timer = keys._timers.pop(A)
        pauses.append(timer.when() - began)
        timer.cancel()
    return pauses


async def test_how_long_the_oldest_key_is_worked_on_is_known() -> None:
    keys = Queue()
    assert keys.longest_working_seconds() == 0
    await keys.add(A)
    await keys.take()
    await asyncio.sleep(0.02)
    assert keys.longest_working_seconds() >= 0.02
    await keys.done(A)
    assert keys.longest_working_seconds() == 0
