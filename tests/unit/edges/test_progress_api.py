"""Posts of trainers, honest and forged, and what becomes of them in the status."""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from tests.builders import catalogue, spec

from skipjack.api.v1alpha1.finetunejob import Task
from skipjack.protocol import ATTEMPT_LABEL, TOKEN_AUDIENCE
from skipjack.resolve import DataFacts, resolve_data, resolve_spec
from skipjack_operator.client import FINE_TUNE_JOBS, JOBS, PODS, TOKEN_REVIEWS, Kube
from skipjack_operator.progress import PATH, ProgressAPI, Reviewer, Store, Writer
from skipjack_operator.progress.api import BODY_BYTES_MAX
from skipjack_operator.progress.writer import DATA_DECIDES
from skipjack_operator.server import serve

from .apiserver import APIServer, answers, status

POD_NAME, POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
JOB_PATH = FINE_TUNE_JOBS.path("ns", "bot")


@dataclass
class Operator:
    """The progress half of an operator, on a real port."""

    store: Store
    writer: Writer
    url: str = ""
    leads: list[bool] = field(default_factory=lambda: [True])

    async def post(self, sample: Any = None, token: str | None = "good", **changes: Any) -> tuple[int, dict[str, Any]]:
        body = sample if isinstance(sample, bytes) else json.dumps((sample or {}) | SAMPLE | changes).encode()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as session, session.post(self.url, data=body, headers=headers) as response:
            return response.status, await response.json()


LONG = {"field": "f" * 300, "value": "1", "origin": "o"}
SAMPLE = {"attempt": 1, "step": 4, "steps": 40, "epoch": 0.1, "loss": 2.5}


@asynccontextmanager
async def an_operator(kube: Kube, interval_seconds: float = 0.02) -> AsyncIterator[Operator]:
    store = Store()
    writer = Writer(kube, store, interval_seconds)
    operator = Operator(store, writer)
    api = ProgressAPI(kube, Reviewer(kube), store, writer, lambda: operator.leads[0])
    writing = asyncio.create_task(writer.run())
    async with serve(api.app(), 0, "127.0.0.1") as port:
        operator.url = f"http://127.0.0.1:{port}{PATH}"
        yield operator
    writing.cancel()


@pytest.fixture
async def operator(server: APIServer, kube: Kube) -> AsyncIterator[Operator]:
    a_training(server)
    async with an_operator(kube) as operator:
        yield operator


def owned_by(owner: dict[str, Any], api_version: str, kind: str) -> dict[str, Any]:
    metadata = owner["metadata"]
    reference = {"apiVersion": api_version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
    return {"ownerReferences": [reference | {"controller": True}]}


def token_of(server: APIServer, token: str, pod: dict[str, Any], **changes: Any) -> None:
    extra = {POD_NAME: [pod["metadata"]["name"]], POD_UID: [pod["metadata"]["uid"]]}
    user = {"username": "system:serviceaccount:ns:default", "extra": extra}
    server.reviews[token] = {"authenticated": True, "audiences": [TOKEN_AUDIENCE], "user": user} | changes


def a_pod(server: APIServer, job: dict[str, Any], name: str, index: str = "0", created: str = "01") -> dict[str, Any]:
    annotations = {"batch.kubernetes.io/job-completion-index": index}
    metadata = owned_by(job, "batch/v1", "Job") | {"annotations": annotations}
    return server.add(PODS, "ns", name, metadata=metadata | {"creationTimestamp": f"2026-01-01T00:00:{created}Z"})


def a_training(server: APIServer) -> dict[str, Any]:
    tuned = server.add(FINE_TUNE_JOBS, "ns", "bot", spec={}, status={"state": "Running"})
    labelled = owned_by(tuned, "skipjack.dev/v1alpha1", "FineTuneJob") | {"labels": {ATTEMPT_LABEL: "1"}}
    job = server.add(JOBS, "ns", "bot-1", metadata=labelled)
    token_of(server, "good", a_pod(server, job, "bot-1-0-x"))
    return job


def written(server: APIServer) -> dict[str, Any]:
    return server.objects[JOB_PATH]["status"].get("progress", {})


async def until_written(server: APIServer, **expected: Any) -> None:
    async with asyncio.timeout(20):
        while not expected.items() <= written(server).items():
            await asyncio.sleep(0.005)


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


async def forge_index(server: APIServer, job: dict[str, Any]) -> None:
    token_of(server, "forged", a_pod(server, job, "bot-1-1-x", index="1"))


async def forge_other_pod(server: APIServer, job: dict[str, Any]) -> None:
    token_of(server, "forged", server.add(PODS, "ns", "somebody"))


async def forge_no_finetunejob(server: APIServer, job: dict[str, Any]) -> None:
    token_of(server, "forged", a_pod(server, server.add(JOBS, "ns", "own"), "own-0"))


async def forge_wrong_kind_of_owner(server: APIServer, job: dict[str, Any]) -> None:
    pod = a_pod(server, job, "own-0")
    pod["metadata"]["ownerReferences"][0]["apiVersion"] = "evil.example/v1"
    token_of(server, "forged", pod)


async def forge_job_that_was_recreated(server: APIServer, job: dict[str, Any]) -> None:
    old = copy.deepcopy(job)
    old["metadata"]["uid"] = "of the job before"
    token_of(server, "forged", a_pod(server, old, "old-0"))


async def forge_pod_that_was_recreated(server: APIServer, job: dict[str, Any]) -> None:
    pod = copy.deepcopy(a_pod(server, job, "again-0"))
    pod["metadata"]["uid"] = "of the pod before"
    token_of(server, "forged", pod)


async def forge_no_pod(server: APIServer, job: dict[str, Any]) -> None:
    user = {"username": "system:serviceaccount:ns:default", "extra": {}}
    server.reviews["forged"] = {"authenticated": True, "audiences": [TOKEN_AUDIENCE], "user": user}


async def forge_a_person(server: APIServer, job: dict[str, Any]) -> None:
    pod = a_pod(server, job, "p-0")
    user = {"username": "eve", "extra": {POD_NAME: [pod["metadata"]["name"]], POD_UID: [pod["metadata"]["uid"]]}}
    token_of(server, "forged", pod, user=user)


@pytest.mark.parametrize(
    ("forge", "why"),
    [
        (forge_index, "completion index 0"),
        (forge_other_pod, "completion index 0"),
        (forge_no_finetunejob, "belongs to no FineTuneJob"),
        (forge_wrong_kind_of_owner, "belongs to no Job"),
        (forge_job_that_was_recreated, "belongs to no Job"),
        (forge_pod_that_was_recreated, "is gone"),
        (forge_no_pod, "not bound to a pod"),
        (forge_a_person, "not bound to a pod"),
    ],
)
async def test_a_forged_post_is_refused_and_changes_nothing(server: APIServer, kube: Kube, forge, why: str) -> None:
    await forge(server, a_training(server))
    async with an_operator(kube) as operator:
        code, told = await operator.post(token="forged", step=39)
        assert (code, why in told["error"]) == (403, True), told
        assert operator.store.latest(server.objects[JOB_PATH]["metadata"]["uid"]) is None


@pytest.mark.parametrize("audiences", [[], ["https://kubernetes.default.svc"], None])
async def test_a_token_of_another_audience_is_refused(server: APIServer, operator: Operator, audiences) -> None:
    server.reviews["other"] = server.reviews["good"] | {"audiences": audiences}
    assert (await operator.post(token="other"))[0] == 401


@pytest.mark.parametrize("token", [None, "", "unknown", "x" * 7000])
async def test_a_bad_token_is_refused(operator: Operator, token: str | None) -> None:
    assert (await operator.post(token=token))[0] == 401


async def test_a_refused_token_is_not_reviewed_at_every_post(server: APIServer, operator: Operator) -> None:
    for _ in range(5):
        await operator.post(token="unknown")
    assert server.requests[f"POST {TOKEN_REVIEWS.path()}"] == 1


async def test_another_attempt_than_the_pods_is_refused(operator: Operator) -> None:
    code, told = await operator.post(attempt=2)
    assert (code, told["error"]) == (403, "attempt: the pod belongs to attempt 1, not 2")


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


RESOLVED = {
    "resolved": [{"field": "hyperparameters.maxLength", "value": "512", "origin": "the data"}],
    "facts": {"rows": 300},
}


async def test_what_the_data_decided_is_stored_before_the_answer(server: APIServer, operator: Operator) -> None:
    told = server.objects[JOB_PATH]["status"]
    told["resolved"] = [{"field": "model", "value": '"x"', "origin": "spec.model"}]
    assert (await operator.post(RESOLVED, step=0))[0] == 200
    now = server.objects[JOB_PATH]["status"]
    assert [entry["field"] for entry in now["resolved"]] == ["model", "hyperparameters.maxLength"]
    assert now["facts"] == {"rows": 300}
    assert (await operator.post(RESOLVED, step=0))[0] == 200
    assert len(server.objects[JOB_PATH]["status"]["resolved"]) == 2


async def test_a_pod_can_not_choose_where_the_next_attempt_runs(server: APIServer, operator: Operator) -> None:
    decided = [{"field": "compute.nodes", "value": "1", "origin": "default"}]
    server.objects[JOB_PATH]["status"]["resolved"] = decided
    forged = [{"field": f, "value": "9", "origin": "me"} for f in ("compute.nodes", "output.uri", "task")]
    assert (await operator.post(resolved=forged))[0] == 200
    assert server.objects[JOB_PATH]["status"]["resolved"] == [*decided, forged[2]]


def test_everything_that_the_data_decides_can_be_told() -> None:
    open_spec = resolve_spec(spec(), "bot", "ns", "u", catalogue())
    facts = DataFacts(Task.CHAT, 300, 30, 700, 90_000, 2048, model_can_pack=False)
    decided = resolve_data(open_spec, facts)
    before = {value.field: value.value for value in open_spec.told()}
    assert {v.field for v in decided.told() if before.get(v.field) != v.value} <= DATA_DECIDES


async def test_what_the_data_decided_survives_a_conflict(server: APIServer, operator: Operator) -> None:
    await operator.post(step=0)
    await until_written(server, step=0)

    async def somebody_writes_between(_: Any) -> None:
        server.add(FINE_TUNE_JOBS, "ns", "bot", **copy.deepcopy(_bodies(server)))

    async def passes(_: Any) -> None:
        return None

    server.faults.extend([passes, somebody_writes_between])
    assert (await operator.post(RESOLVED, step=0))[0] == 200
    assert server.objects[JOB_PATH]["status"]["facts"] == {"rows": 300}


def _bodies(server: APIServer) -> dict[str, Any]:
    now = server.objects[JOB_PATH]
    return {"metadata": {"uid": now["metadata"]["uid"]}, "spec": now["spec"], "status": now["status"]}


async def test_what_could_not_be_stored_is_asked_for_again(server: APIServer, operator: Operator) -> None:
    await operator.post(step=0)
    await until_written(server, step=0)
    server.away = True
    assert (await operator.post(RESOLVED, step=0))[0] == 503
    server.away = False
    assert (await operator.post(RESOLVED, step=0))[0] == 200
    assert server.objects[JOB_PATH]["status"]["facts"] == {"rows": 300}
