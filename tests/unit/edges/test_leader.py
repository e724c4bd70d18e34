"""Two replicas and one Lease."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from skipjack_operator.client import LEASES, PODS, Kube
from skipjack_operator.leader import LEADER_LABEL, Leader, LeadershipLost, Timing

from .apiserver import APIServer

FAST = Timing(duration=1, renew_deadline=0.6, retry=0.05)
LEASE = LEASES.path("ns", "skipjack")


def leader(kube: Kube, pod: str | None = None, timing: Timing = FAST) -> Leader:
    return Leader(kube, "ns", "skipjack", pod_name=pod, timing=timing)


@pytest.fixture
async def other(server: APIServer) -> AsyncIterator[Kube]:
    async with server.connect() as kube:
        yield kube


def holder(server: APIServer) -> str:
    return server.objects[LEASE]["spec"]["holderIdentity"]


async def test_the_first_leads_and_the_second_waits(server: APIServer, kube: Kube, other: Kube) -> None:
    first, second = leader(kube), leader(other)
    await first.acquire()
    async with asyncio.TaskGroup() as group:
        keeping = group.create_task(first.keep())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(second.acquire(), 2 * FAST.duration)
        assert first.is_leading
        assert not second.is_leading
        assert holder(server) == first.identity
        keeping.cancel()


async def test_a_leader_that_stops_gracefully_hands_over_at_once(server: APIServer, kube: Kube, other: Kube) -> None:
    slow = Timing(duration=3600, renew_deadline=1800, retry=0.01)
    first, second = leader(kube, timing=slow), leader(other, timing=slow)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await first.release()
    await waiting
    assert not first.is_leading
    assert holder(server) == second.identity
    assert server.objects[LEASE]["spec"]["leaseTransitions"] == 1


async def test_a_leader_that_dies_is_followed(server: APIServer, kube: Kube, other: Kube) -> None:
    first, second = leader(kube), leader(other)
    await first.acquire()
    await second.acquire()
    assert holder(server) == second.identity
    with pytest.raises(LeadershipLost):
        await first.keep()
    assert not first.is_leading


@pytest.mark.parametrize("wrong", ["1999-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", None])
async def test_a_wrong_clock_of_the_holder_does_not_matter(
    server: APIServer, kube: Kube, other: Kube, wrong: str | None
) -> None:
    first, second = leader(kube), leader(other)
    await first.acquire()
    stop = asyncio.Event()

    async def renews_with_a_wrong_clock() -> None:
        while not stop.is_set():
            change = {"spec": {"renewTime": wrong, "leaseTransitions": 7}}
            await kube.patch(LEASES, "ns", "skipjack", change)
            await asyncio.sleep(0.05)

    renewing = asyncio.create_task(renews_with_a_wrong_clock())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(second.acquire(), 2 * FAST.duration)
    stop.set()
    await renewing
    await second.acquire()


async def test_a_leader_cut_off_from_the_api_gives_up_before_another_may_lead(server: APIServer, kube: Kube) -> None:
    first = leader(kube)
    await first.acquire()
    server.away = True
    with pytest.raises(LeadershipLost, match="not renewed"):
        await first.keep()
    assert not first.is_leading


async def test_a_process_that_slept_does_not_think_it_leads(kube: Kube) -> None:
    now = 0.0
    sleeper = Leader(kube, "ns", "skipjack", timing=FAST, clock=lambda: now)
    await sleeper.acquire()
    assert sleeper.is_leading
    now = 1.0
    assert not sleeper.is_leading


async def test_an_api_server_that_is_away_is_waited_for(server: APIServer, kube: Kube) -> None:
    server.away = True
    acquiring = asyncio.create_task(leader(kube).acquire())
    await asyncio.sleep(0.1)
    server.away = False
    await acquiring


async def test_two_that_start_together_do_not_both_lead(server: APIServer, kube: Kube, other: Kube) -> None:
    both = leader(kube), leader(other)
    tasks = [asyncio.create_task(one.acquire()) for one in both]
    done, waiting = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    assert [one.is_leading for one in both].count(True) == 1
    for task in waiting:
        task.cancel()


async def test_the_leaders_pod_alone_has_the_label(server: APIServer, kube: Kube, other: Kube) -> None:
    slow = Timing(duration=3600, renew_deadline=1800, retry=0.01)
    for name in "ab":
        # A container that was killed left its label behind.
        server.add(PODS, "ns", name, metadata={"labels": {LEADER_LABEL: "true", "app": "x"}})
    first, second = leader(kube, "a", slow), leader(other, "b", slow)
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    while LEADER_LABEL in server.objects[PODS.path("ns", "b")]["metadata"]["labels"]:
        await asyncio.sleep(0.01)
    assert server.objects[PODS.path("ns", "a")]["metadata"]["labels"] == {"app": "x", LEADER_LABEL: "true"}
    await first.release()
    await waiting
    assert server.objects[PODS.path("ns", "a")]["metadata"]["labels"] == {"app": "x"}
    assert server.objects[PODS.path("ns", "b")]["metadata"]["labels"] == {"app": "x", LEADER_LABEL: "true"}


def test_timing_that_lets_two_lead_is_refused() -> None:
    with pytest.raises(ValueError, match="renew_deadline"):
        Timing(duration=10, renew_deadline=10)
