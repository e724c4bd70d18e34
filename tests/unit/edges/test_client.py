"""The client against an API server on a bad day."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from kubernetes.aio.client.configuration import Configuration

from skipjack_operator import metrics
from skipjack_operator.client import (
    JOBS,
    LEASES,
    NODE_TYPES,
    PODS,
    TOKEN_REVIEWS,
    AlreadyExists,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    Kube,
    KubeError,
    NotFound,
    NotServed,
    Pace,
    Unavailable,
)
from skipjack_operator.client.pace import TokenBucket
from skipjack_operator.client.transport import NoCluster

from .apiserver import QUICK, APIServer, answers, cuts, stalls, status

JOB = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}}


def too_many() -> web.Response:
    return status(429, "TooManyRequests", **{"Retry-After": "0"})


async def test_an_absent_object_is_none(kube: Kube) -> None:
    assert await kube.get(PODS, "ns", "absent") is None


async def test_an_absent_crd_is_not_an_absent_object(server: APIServer, kube: Kube) -> None:
    server.faults.append(answers(lambda: web.Response(status=404, text="404 page not found")))
    with pytest.raises(NotServed):
        await kube.get(NODE_TYPES, None, "cpu")


async def test_a_storm_of_429_is_ridden_out(server: APIServer, kube: Kube) -> None:
    server.add(PODS, "ns", "a")
    server.faults.extend([answers(too_many)] * 3)
    assert (await kube.get(PODS, "ns", "a")) is not None
    assert server.count("GET") == 4


async def test_a_storm_that_does_not_end_is_told(server: APIServer, kube: Kube) -> None:
    server.faults.extend([answers(too_many)] * 50)
    with pytest.raises(Unavailable, match="429"):
        await kube.get(PODS, "ns", "a")
    assert server.count("GET") == QUICK.attempts


async def test_a_create_that_was_turned_away_is_sent_again(server: APIServer, kube: Kube) -> None:
    server.faults.append(answers(too_many))
    assert (await kube.create(JOBS, "ns", JOB))["metadata"]["uid"]
    assert server.count("POST") == 2


@pytest.mark.parametrize("code", [500, 502, 503, 504])
async def test_a_create_with_an_unclear_answer_is_not_sent_again(server: APIServer, kube: Kube, code: int) -> None:
    server.faults.append(answers(lambda: status(code, "InternalError", **{"Retry-After": "0"})))
    with pytest.raises(Unavailable):
        await kube.create(JOBS, "ns", JOB)
    assert server.count("POST") == 1


async def test_a_create_whose_answer_was_lost_is_not_sent_again(server: APIServer, kube: Kube) -> None:
    server.faults.append(server.does_then_cuts)
    with pytest.raises(Unavailable, match="lost"):
        await kube.create(JOBS, "ns", JOB)
    assert server.count("POST") == 1
    assert await kube.get(JOBS, "ns", "a") is not None


async def test_a_token_review_may_be_asked_for_again(server: APIServer, kube: Kube) -> None:
    server.faults.append(cuts)
    await kube.create(TOKEN_REVIEWS, None, {"spec": {"token": "x"}})
    assert server.count("POST") == 2


async def test_a_server_that_is_not_there_is_asked_again_even_to_create() -> None:
    unreached = metrics.KUBE_REQUESTS_TOTAL.labels("create", "jobs", "none")
    before = unreached._value.get()
    async with Kube.connect(Configuration(host="http://127.0.0.1:9"), QUICK) as kube:
        with pytest.raises(Unavailable, match="can't connect"):
            await kube.create(JOBS, "ns", JOB)
    assert unreached._value.get() - before == QUICK.attempts


@pytest.mark.parametrize("fault", [cuts, answers(lambda: status(503, "ServiceUnavailable"))])
async def test_reads_patches_and_deletes_survive_one_fault(server: APIServer, kube: Kube, fault) -> None:
    job = server.add(JOBS, "ns", "a")
    server.faults.append(fault)
    assert await kube.get(JOBS, "ns", "a")
    server.faults.append(fault)
    assert len(await kube.list(JOBS, "ns")) == 1
    server.faults.append(fault)
    assert (await kube.patch(JOBS, "ns", "a", {"metadata": {"labels": {"x": "y"}}}))["metadata"]["labels"] == {"x": "y"}
    server.faults.append(fault)
    await kube.delete(JOBS, "ns", "a", job["metadata"]["uid"], "Foreground")
    assert not server.objects


async def test_a_silent_stall_is_ended_and_the_request_sent_again(server: APIServer, kube: Kube) -> None:
    server.add(PODS, "ns", "a")
    server.faults.append(stalls)
    assert await kube.get(PODS, "ns", "a") is not None


async def test_a_stall_that_does_not_end_is_told(server: APIServer) -> None:
    server.faults.extend([stalls] * 10)
    pace = Pace(request_seconds=0.2, total_seconds=0.5, first_backoff_seconds=0.001)
    async with server.connect(pace) as kube:
        with pytest.raises(Unavailable, match=r"within 0.5 s|lost"):
            await kube.get(PODS, "ns", "a")


def test_a_stall_is_told_within_75_seconds_by_default() -> None:
    assert Pace().total_seconds < 75


async def test_the_answer_of_a_proxy_is_not_taken_for_an_object(server: APIServer, kube: Kube) -> None:
    server.faults.extend([answers(lambda: web.Response(text="<html>captive portal</html>"))] * 9)
    with pytest.raises(Unavailable, match="proxy"):
        await kube.get(PODS, "ns", "a")


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (lambda: status(409, "AlreadyExists", name="a"), AlreadyExists),
        (lambda: status(409, "Conflict", name="a"), Conflict),
        (lambda: status(403, "Forbidden"), Forbidden),
        (lambda: status(422, "Invalid"), Invalid),
        (lambda: status(400, "BadRequest"), Invalid),
        (lambda: status(410, "Expired"), Expired),
        (lambda: status(404, "NotFound", name="ns"), NotFound),
        (lambda: status(401, "Unauthorized"), KubeError),
    ],
)
async def test_each_refusal_is_its_own_error_and_told_once(server: APIServer, kube: Kube, response, error) -> None:
    server.faults.append(answers(response))
    with pytest.raises(error) as caught:
        await kube.create(JOBS, "ns", JOB)
    assert type(caught.value) is error
    assert server.count("POST") == 1


async def test_an_exceeded_quota_is_told_apart(server: APIServer, kube: Kube) -> None:
    server.faults.append(answers(lambda: status(403, "Forbidden", 'pods "a" is forbidden: exceeded quota: small')))
    with pytest.raises(Forbidden) as quota:
        await kube.create(PODS, "ns", JOB)
    server.faults.append(answers(lambda: status(403, "Forbidden", "user can't create pods")))
    with pytest.raises(Forbidden) as rbac:
        await kube.create(PODS, "ns", JOB)
    assert (quota.value.is_quota, rbac.value.is_quota) == (True, False)


async def test_deleting_what_is_gone_is_fine_and_what_has_another_uid_is_not(server: APIServer, kube: Kube) -> None:
    await kube.delete(JOBS, "ns", "gone", "uid")
    server.add(JOBS, "ns", "a")
    with pytest.raises(Conflict):
        await kube.delete(JOBS, "ns", "a", "of another")
    assert len(server.objects) == 1


async def test_a_delete_whose_answer_was_lost_has_happened(server: APIServer, kube: Kube) -> None:
    job = server.add(JOBS, "ns", "a")
    server.faults.append(server.does_then_cuts)
    await kube.delete(JOBS, "ns", "a", job["metadata"]["uid"])
    assert not server.objects


async def test_a_list_is_read_in_pages_and_never_from_a_stale_cache(server: APIServer, kube: Kube) -> None:
    for number in range(1203):
        server.add(PODS, "ns", f"p{number:04}", metadata={"labels": {"a": "b", "c": ""}})
    assert len(await kube.list(PODS, "ns", "a=b,c")) == 1203
    queries = [dict(parse_qsl(urlsplit(path).query)) for _, path, _ in server.log]
    assert [q.get("continue") for q in queries] == [None, "500", "1000"]
    assert all(q["labelSelector"] == "a=b,c" and "resourceVersion" not in q for q in queries)


async def test_a_list_whose_pages_expired_is_read_from_the_start(server: APIServer, kube: Kube) -> None:
    for number in range(600):
        server.add(PODS, "ns", f"p{number:04}")

    async def passes(_: web.Request) -> None:
        return None

    server.faults.extend([passes, answers(lambda: status(410, "Expired"))])
    names = [pod["metadata"]["name"] for pod in await kube.list(PODS, "ns")]
    assert len(names) == len(set(names)) == 600


async def test_a_patch_on_a_changed_object_is_a_conflict_and_not_repeated(server: APIServer, kube: Kube) -> None:
    server.add(JOBS, "ns", "a")
    with pytest.raises(Conflict):
        await kube.patch_status(JOBS, "ns", "a", {"metadata": {"resourceVersion": "1"}, "status": {}})
    assert server.count("PATCH") == 1


async def test_429_holds_back_everybody_but_the_election(server: APIServer) -> None:
    pace = Pace(attempts=2, longest_backoff_seconds=0.2)
    server.add(LEASES, "ns", "l")
    async with server.connect(pace) as kube:
        server.faults.append(answers(lambda: status(429, "TooManyRequests", **{"Retry-After": "60"})))
        first = asyncio.create_task(kube.get(PODS, "ns", "a"))
        while server.faults:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        held = asyncio.create_task(kube.get(PODS, "ns", "b"))
        assert await kube.get(LEASES, "ns", "l")
        assert not held.done()
        await asyncio.gather(first, held)


async def test_without_a_cluster_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    with pytest.raises(NoCluster, match="KUBECONFIG"):
        async with Kube.connect():
            pass


@given(
    qps=st.floats(1, 1000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 2), min_size=1, max_size=200),
)
def test_the_bucket_never_lets_more_through_than_burst_and_rate(qps: float, burst: int, gaps: list[float]) -> None:
    now = 1000.0
    bucket = TokenBucket(qps, burst, clock=lambda: now)
    sent: list[float] = []
    for gap in gaps:
        now += gap
        sent.append(now + bucket.reserve())
    assert sent == sorted(sent)
    for start, begin in enumerate(sent):
        for end in range(start, len(sent)):
            assert end - start + 1 <= burst + (sent[end] - begin) * qps + 1e-3
