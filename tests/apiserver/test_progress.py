"""Progress posts with real tokens of real pods, reviewed by the real API server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from skipjack_operator.client import FINE_TUNE_JOBS, JOBS, PODS, NotFound
from skipjack_operator.progress import PATH, ProgressAPI, Reviewer, Store, TokenRefused, Writer
from skipjack_operator.progress.api import parse
from skipjack_operator.server import serve

from .live import Live, on_the_cluster

pytestmark = pytest.mark.cluster


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with on_the_cluster() as live:
        yield live


async def pods_of(live: Live, job: str) -> list[str]:
    """Names of both pods, by completion index."""
    async with asyncio.timeout(60):
        while True:
            pods = await live.kube.list(PODS, live.namespace, f"batch.kubernetes.io/job-name={job}")
            if len(pods) == 2:
                return sorted(pod["metadata"]["name"] for pod in pods)
            await asyncio.sleep(0.2)


async def test_rank_0s_own_token_is_believed(live: Live) -> None:
    job = await live.job()
    await live.attempt(job)
    first, _ = await pods_of(live, "bot-1")
    reporter = await Reviewer(live.kube).review(live.token(first))
    assert (reporter.namespace, reporter.job, reporter.uid) == (live.namespace, "bot", job["metadata"]["uid"])
    assert (reporter.attempt, reporter.pod) == (1, first)


async def test_every_forgery_is_refused(live: Live) -> None:
    await live.attempt(await live.job())
    await live.attempt(None, "somebodys")
    first, second = await pods_of(live, "bot-1")
    stranger, _ = await pods_of(live, "somebodys")
    forged = {
        "another index": live.token(second),
        "another pod of the namespace": live.token(stranger),
        "another audience": live.token(first, "https://kubernetes.default.svc"),
        "bound to no pod": live.kubectl("create", "token", "default", "--audience", "progress.skipjack.dev").strip(),
        "a changed signature": live.token(first)[:-8] + "AAAAAAAA",
        "no token": "nonsense",
    }
    codes = {}
    for how, token in forged.items():
        with pytest.raises(TokenRefused) as refused:
            await Reviewer(live.kube).review(token)
        codes[how] = refused.value.status
    assert codes == {
        "another index": 403,
        "another pod of the namespace": 403,
        "another audience": 401,
        "bound to no pod": 403,
        "a changed signature": 401,
        "no token": 401,
    }


async def test_the_token_of_a_pod_that_is_gone_is_refused(live: Live) -> None:
    await live.attempt(await live.job())
    first, _ = await pods_of(live, "bot-1")
    token = live.token(first)
    job = await live.kube.get(JOBS, live.namespace, "bot-1")
    await live.kube.delete(JOBS, live.namespace, "bot-1", job["metadata"]["uid"])
    async with asyncio.timeout(60):
        while await live.kube.get(PODS, live.namespace, first):
            await asyncio.sleep(0.2)
    with pytest.raises(TokenRefused):
        await Reviewer(live.kube).review(token)


async def test_a_post_reaches_the_status_and_its_columns(live: Live) -> None:
    job = await live.job()
    await live.attempt(job)
    token = live.token((await pods_of(live, "bot-1"))[0])
    store = Store()
    writer = Writer(live.kube, store, interval_seconds=0.2)
    api = ProgressAPI(live.kube, Reviewer(live.kube), store, writer, lambda: True)
    writing = asyncio.create_task(writer.run())
    resolved = [{"field": "hyperparameters.maxLength", "value": "512", "origin": "the data"}]
    samples: list[dict[str, Any]] = [
        {"step": 0, "phase": "Preparing", "resolved": resolved, "facts": {"rows": 300}},
        {
            "step": 17,
            "loss": 1.25,
            "eta_seconds": 200,
            "learning_rate": 2e-4,
            "tokens_per_second": 900,
            "checkpoint_step": 10,
        },
        {"step": 40, "loss": float("nan"), "heldout_loss": 1.5, "phase": "Exporting"},
    ]
    async with serve(api.app(), 0, "127.0.0.1") as port, aiohttp.ClientSession() as session:
        for sample in samples:
            body = {"attempt": 1, "steps": 40, "epoch": 1.0} | sample
            headers = {"Authorization": f"Bearer {token}"}
            async with session.post(f"http://127.0.0.1:{port}{PATH}", json=body, headers=headers) as response:
                assert (response.status, await response.text()) == (200, "{}")
            await until_told(live, sample["step"])
    writing.cancel()
    status = (await live.kube.get(FINE_TUNE_JOBS, live.namespace, "bot"))["status"]
    assert (status["facts"], status["resolved"]) == ({"rows": 300}, resolved)
    progress = status["progress"]
    assert (progress["percent"], progress["loss"], progress["phase"]) == ("100.0%", "NaN", "Exporting")
    assert (progress["checkpointStep"], progress["heldoutLoss"]) == (10, "1.5000")


async def until_told(live: Live, step: int) -> None:
    async with asyncio.timeout(30):
        while (await live.kube.get(FINE_TUNE_JOBS, live.namespace, "bot"))["status"].get("progress", {}).get(
            "step"
        ) != step:
            await asyncio.sleep(0.05)


async def test_a_recreated_job_is_not_written_to(live: Live) -> None:
    job = await live.job()
    await live.attempt(job)
    reporter = await Reviewer(live.kube).review(live.token((await pods_of(live, "bot-1"))[0]))
    await live.kube.delete(FINE_TUNE_JOBS, live.namespace, "bot", job["metadata"]["uid"])
    async with asyncio.timeout(60):
        while await live.kube.get(FINE_TUNE_JOBS, live.namespace, "bot"):
            await asyncio.sleep(0.2)
    await live.job()
    sample = parse(b'{"attempt":1,"step":9,"steps":40,"epoch":0.1,"facts":{"rows":1}}')
    with pytest.raises(NotFound):
        await Writer(live.kube, Store()).write_data(reporter, sample)
    assert (await live.kube.get(FINE_TUNE_JOBS, live.namespace, "bot"))["status"] == {"state": "Running"}
