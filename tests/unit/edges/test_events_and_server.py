"""Events, probes and metrics."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from skipjack_operator import metrics
from skipjack_operator.client import EVENTS, Kube
from skipjack_operator.events import Events
from skipjack_operator.server import Health, serve

from .apiserver import APIServer, answers, status

JOB = {
    "apiVersion": "skipjack.dev/v1alpha1",
    "kind": "FineTuneJob",
    "metadata": {"name": "bot", "namespace": "ns", "uid": "u"},
}


def lost() -> float:
    return metrics.REGISTRY.get_sample_value("skipjack_events_total", {"result": "lost"}) or 0.0


async def test_an_event_is_told_once(server: APIServer, kube: Kube) -> None:
    events = Events(kube, "operator-1")
    for _ in range(3):
        await events.emit(JOB, "Normal", "Running", "Attempt 1 runs.")
    await events.emit(JOB, "Warning", "Retrying", "ü" * 2000)
    told = [o for p, o in sorted(server.objects.items()) if p.startswith(EVENTS.path("ns"))]
    assert sorted(e["reason"] for e in told) == ["Retrying", "Running"]
    assert all(len(e["note"].encode()) <= 1024 for e in told)
    assert told[0]["regarding"] == {"apiVersion": JOB["apiVersion"], "kind": "FineTuneJob", **JOB["metadata"]}


@pytest.mark.parametrize("code", [403, 404, 409, 422, 500])
async def test_a_lost_event_is_counted_and_stops_nothing(server: APIServer, kube: Kube, code: int) -> None:
    before = lost()
    server.faults.append(answers(lambda: status(code, "Reason", name="ns")))
    events = Events(kube, "operator-1")
    await events.emit(JOB, "Normal", "Running", "Attempt 1 runs.")
    assert lost() == before + 1
    await events.emit(JOB, "Normal", "Running", "Attempt 1 runs.")
    assert len(server.objects) == 1


async def ask(port: int, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def test_a_replica_that_never_led_is_live_and_ready(kube: Kube) -> None:
    async with serve(Health(kube).app(), 0, "127.0.0.1") as port:
        assert [(await ask(port, path))[0] for path in ("/healthz", "/readyz")] == [200, 200]


async def test_a_reconcile_loop_that_hangs_is_told_by_liveness(kube: Kube) -> None:
    now = [0.0]
    health = Health(kube, stale_seconds=120, clock=lambda: now[0])
    async with serve(health.app(), 0, "127.0.0.1") as port:
        health.beat()
        now[0] = 100.0
        assert (await ask(port, "/healthz"))[0] == 200
        now[0] = 121.0
        assert await ask(port, "/healthz") == (503, "the reconcile loop has been silent for 121 s\n")
        health.beat()
        assert (await ask(port, "/healthz"))[0] == 200


async def test_an_api_server_that_is_away_is_told_by_readiness(server: APIServer, kube: Kube) -> None:
    now = [0.0]
    async with serve(Health(kube, clock=lambda: now[0]).app(), 0, "127.0.0.1") as port:
        server.away = True
        assert (await ask(port, "/readyz"))[0] == 503
        assert (await ask(port, "/healthz"))[0] == 200
        server.away = False
        now[0] = 60.0
        assert (await ask(port, "/readyz"))[0] == 200


async def test_a_blocked_event_loop_is_measured() -> None:
    measuring = asyncio.create_task(metrics.measure_event_loop_lag(every_seconds=0.01))
    await asyncio.sleep(0)
    time.sleep(0.2)
    while not (metrics.REGISTRY.get_sample_value("skipjack_event_loop_lag_seconds") or 0) > 0.1:
        await asyncio.sleep(0)
    measuring.cancel()


async def test_metrics_are_prometheus_text_with_the_known_names(kube: Kube) -> None:
    async with serve(Health(kube).app(), 0, "127.0.0.1") as port:
        _, text = await ask(port, "/metrics")
    families: dict[str, Any] = {family.name: family for family in text_string_to_metric_families(text)}
    expected = {
        "reconcile_duration_seconds", "workqueue_depth", "kube_requests", "kube_request_duration_seconds", "leader",
        "event_loop_lag_seconds", "jobs", "jobs_finished", "retries", "job_step", "job_loss", "job_tokens_per_second",
    }  # fmt: skip
    assert {f"skipjack_{name}" for name in expected} <= families.keys()
    assert all(family.documentation for family in families.values() if family.name.startswith("skipjack_"))
