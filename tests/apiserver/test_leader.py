"""Leader election over the Lease of the real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from skipjack_operator.client import LEASES, PODS, Kube
from skipjack_operator.leader import LEADER_LABEL, Leader, LeadershipLost, Timing

from .live import Live, on_the_cluster

pytestmark = pytest.mark.cluster

FAST = Timing(duration=3, renew_deadline=2.0, retry=0.2)


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with on_the_cluster() as live:
        yield live


def a_pod(name: str) -> dict:
    labels = {LEADER_LABEL: "true"}
    spec = {"nodeSelector": {"skipjack.dev/no-such-node": "true"}, "containers": [{"name": "c", "image": "none"}]}
    spec["automountServiceAccountToken"] = False
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}


async def leads(kube: Kube, namespace: str) -> list[str]:
    pods = await kube.list(PODS, namespace, f"{LEADER_LABEL}=true")
    return [pod["metadata"]["name"] for pod in pods]


async def test_one_leads_and_the_other_takes_over_when_it_stops(live: Live) -> None:
    for name in "ab":
        await live.kube.create(PODS, live.namespace, a_pod(name))
    async with live.another() as other:
        first = Leader(live.kube, live.namespace, "skipjack", pod_name="a", timing=FAST)
        second = Leader(other, live.namespace, "skipjack", pod_name="b", timing=FAST)
        await first.acquire()
        keeping, waiting = asyncio.create_task(first.keep()), asyncio.create_task(second.acquire())
        done, _ = await asyncio.wait([keeping, waiting], timeout=2 * FAST.duration)
        assert not done
        assert (first.is_leading, second.is_leading) == (True, False)
        assert await leads(live.kube, live.namespace) == ["a"]
        keeping.cancel()
        await first.release()
        await waiting
        assert await leads(live.kube, live.namespace) == ["b"]


async def test_one_that_dies_is_followed_and_does_not_come_back(live: Live) -> None:
    async with live.another() as other:
        first = Leader(live.kube, live.namespace, "skipjack", timing=FAST)
        second = Leader(other, live.namespace, "skipjack", timing=FAST)
        await first.acquire()
        await second.acquire()
        with pytest.raises(LeadershipLost):
            await first.keep()
        lease = await live.kube.get(LEASES, live.namespace, "skipjack")
        assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == (second.identity, 1)
