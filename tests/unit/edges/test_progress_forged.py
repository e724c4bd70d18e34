"""Posts that a pod of the same namespace might forge."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from skipjack.protocol import TOKEN_AUDIENCE
from skipjack_operator.client import JOBS, PODS, TOKEN_REVIEWS, Kube

from .apiserver import APIServer
from .progress_half import JOB_PATH, POD_NAME, POD_UID, Operator, a_pod, a_training, an_operator, token_of


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
