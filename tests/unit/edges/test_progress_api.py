"""Posts of progress: what reaches the status, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest

from skipjack_operator.client import FINE_TUNE_JOBS, TOKEN_REVIEWS, Kube
from skipjack_operator.progress import PATH, ProgressAPI, Reviewer, Store, Writer
from skipjack_operator.progress.api import BODY_BYTES_MAX
from skipjack_operator.server import serve

from .apiserver import APIServer, answers, status
from .progress_half import JOB_PATH, LONG, SAMPLE, Operator, a_training, an_operator, until_written, written


async def test_a_post_reaches_the_status(server: APIServer, operator: Operator) -> None:
    assert await operator.post(eta_seconds=200, learning_rate=2e-4, tokens_per_second=812.3) == (200, {})
    await until_written(
        server,
        step=4,
        steps=40,
        percent="10.0%",
        loss="2.5000",
        eta="3m20s",
        learningRate="0.0002",
        tokensPerSecond="812",
    )
    assert server.objects[JOB_PATH]["status"]["state"] == "Running"


async def test_a_token_is_reviewed_once_not_at_every_post(server: APIServer, operator: Operator) -> None:
    for step in range(5):
        assert (await operator.post(step=step))[0] == 200
    assert server.requests[f"POST {TOKEN_REVIEWS.path()}"] == 1


async def test_posts_between_two_writes_are_not_written(server: APIServer, kube: Kube) -> None:
    a_training(server)
    async with an_operator(kube, interval_seconds=3600) as operator:
        await operator.post(step=1)
        await until_written(server, step=1)
        for step in range(2, 30):
            await operator.post(step=step)
        assert operator.store.latest(server.objects[JOB_PATH]["metadata"]["uid"]).sample.step == 29
        assert (written(server)["step"], server.count("PATCH")) == (1, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (json.dumps(SAMPLE | {"step": -1}).encode(), "step"),
        (json.dumps(SAMPLE | {"step": 2**60}).encode(), "step"),
        (json.dumps(SAMPLE | {"loss": "much"}).encode(), "loss"),
        (json.dumps(SAMPLE | {"phase": "Sleeping"}).encode(), "phase"),
        (json.dumps({k: v for k, v in SAMPLE.items() if k != "steps"}).encode(), "steps"),
        (
            json.dumps(SAMPLE | {"resolved": [{"field": "f" * 300, "value": "1", "origin": "o"}]}).encode(),
            "resolved.0.field",
        ),
        (json.dumps(SAMPLE | {"resolved": [LONG | {"field": "f", "value": "{"}]}).encode(), "resolved.0.value"),
        (json.dumps(SAMPLE | {"facts": {f"f{i}": i for i in range(33)}}).encode(), "facts"),
    ],
)
async def test_a_bad_body_is_refused_and_the_field_named(operator: Operator, body: bytes, field: str) -> None:
    code, told = await operator.post(body)
    assert code == 400
    assert told["error"].startswith(f"{field}: "), told


async def test_a_body_that_is_too_large_is_refused(operator: Operator) -> None:
    assert (await operator.post(b" " * (BODY_BYTES_MAX + 1)))[0] == 413


async def test_a_body_that_never_ends_is_not_waited_for(server: APIServer, kube: Kube) -> None:
    a_training(server)

    async def drip() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(3600)

    store = Store()
    api = ProgressAPI(kube, Reviewer(kube), store, Writer(kube, store), lambda: True, body_seconds=0.05)
    headers = {"Authorization": "Bearer good"}
    async with (
        serve(api.app(), 0, "127.0.0.1") as port,
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}{PATH}", data=drip(), headers=headers) as response,
    ):
        assert response.status == 408


async def test_a_loss_that_is_not_a_number_is_told_as_it_is(server: APIServer, operator: Operator) -> None:
    assert (await operator.post(b'{"attempt":1,"step":4,"steps":40,"epoch":0.1,"loss":NaN}'))[0] == 200
    await until_written(server, loss="NaN")


async def test_a_follower_takes_nothing(operator: Operator) -> None:
    operator.leads[0] = False
    assert (await operator.post())[0] == 503
    operator.leads[0] = True
    assert (await operator.post())[0] == 200


async def test_an_api_server_that_is_away_refuses_nobody_for_good(server: APIServer, operator: Operator) -> None:
    server.away = True
    assert (await operator.post())[0] == 503
    server.away = False
    assert (await operator.post())[0] == 200


async def test_a_restart_of_the_operator_loses_nothing(server: APIServer, kube: Kube) -> None:
    a_training(server)
    async with an_operator(kube) as first:
        await first.post(step=20, heldout_loss=1.5)
        await until_written(server, step=20)
    async with an_operator(kube) as second:
        await second.post(step=21)
        await until_written(server, step=21, heldoutLoss="1.5000")


async def test_a_failed_write_is_made_up_for(server: APIServer, operator: Operator) -> None:
    await operator.post(step=1)
    await until_written(server, step=1)
    server.faults.extend([answers(lambda: status(503, "Unavailable"))] * 5)
    await operator.post(step=2)
    await until_written(server, step=2)


async def test_a_recreated_job_of_the_same_name_is_not_written_to(server: APIServer, operator: Operator) -> None:
    await operator.post(step=1)
    await until_written(server, step=1)
    old = server.objects[JOB_PATH]["metadata"]["uid"]
    server.add(FINE_TUNE_JOBS, "ns", "bot", spec={}, status={"state": "Pending"})
    await operator.post(step=2)
    async with asyncio.timeout(20):
        while not operator.store.has_ended(old):
            await asyncio.sleep(0.005)
    assert written(server) == {}
    assert (await operator.post(step=3))[0] == 403


@pytest.mark.parametrize("condition", ["Complete", "Failed"])
async def test_a_job_that_ended_takes_no_progress(server: APIServer, operator: Operator, condition: str) -> None:
    server.objects[JOB_PATH]["status"]["conditions"] = [{"type": condition, "status": "True"}]
    assert (await operator.post())[0] == 403
    assert server.count("PATCH") == 0


async def test_the_wish_to_finish_reaches_the_trainer(server: APIServer, operator: Operator) -> None:
    assert await operator.post(step=1) == (200, {})
    server.objects[JOB_PATH]["spec"]["stop"] = "Finish"
    async with asyncio.timeout(20):
        step = 2
        while (await operator.post(step=step))[1] != {"stop": "Finish"}:
            step += 1


async def test_the_wish_to_finish_is_told_at_the_first_post_after_a_restart(
    server: APIServer, operator: Operator
) -> None:
    server.objects[JOB_PATH]["spec"]["stop"] = "Finish"
    assert await operator.post() == (200, {"stop": "Finish"})
