"""One look at one job, against an API server that refuses, and objects that are not what they seem."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from skipjack.protocol import ATTEMPT_LABEL, JOB_UID_LABEL
from skipjack_operator import metrics
from skipjack_operator.client import (
    FINE_TUNE_JOBS,
    JOBS,
    NODE_TYPES,
    PERSISTENT_VOLUME_CLAIMS,
    Kube,
    Object,
)
from skipjack_operator.events import Events
from skipjack_operator.manifests import PodEnvironment
from skipjack_operator.perform import Stale
from skipjack_operator.progress import Store
from skipjack_operator.reconcile import Reconciler

from .apiserver import APIServer, status

SITE = PodEnvironment(image="trainer:1", progress_url="http://operator:8080")
SPEC = {
    "model": "hf://org/model",
    "dataset": {"train": [{"uri": "configmap://data/train.jsonl"}]},
    "output": {"uri": "pvc://models/result"},
}


@pytest.fixture
def bot(server: APIServer) -> Object:
    """A FineTuneJob that could run."""
    small = {"cpu": "1", "memory": "4Gi", "precisions": ["FP32"], "default": True}
    server.add(NODE_TYPES, None, "cpu", spec=small)
    server.add(PERSISTENT_VOLUME_CLAIMS, "ns", "models", spec={"accessModes": ["ReadWriteOnce"]})
    kind = {"apiVersion": FINE_TUNE_JOBS.api_version, "kind": "FineTuneJob"}
    return server.add(FINE_TUNE_JOBS, "ns", "bot", **kind, spec=dict(SPEC))


async def reconcile(kube: Kube) -> None:
    await Reconciler(kube, (), SITE, Events(kube), Store()).reconcile(("ns", "bot"))


def told(server: APIServer, kind: str) -> tuple[str, str, str]:
    conditions = server.objects[FINE_TUNE_JOBS.path("ns", "bot")]["status"]["conditions"]
    return next((c["status"], c["reason"], c["message"]) for c in conditions if c["type"] == kind)


def refuses_jobs(server: APIServer, code: int, reason: str, message: str) -> None:
    """From now on no Job can be created."""

    async def fault(request: web.Request) -> web.StreamResponse | None:
        server.faults.append(fault)
        is_job = request.method == "POST" and request.path == JOBS.path("ns")
        return status(code, reason, message, name="bot-1") if is_job else None

    server.faults.append(fault)


@pytest.mark.parametrize(
    ("code", "reason", "message", "expected"),
    [
        (422, "Invalid", "spec.template.metadata.labels: Invalid value", "JobRefused"),
        (403, "Forbidden", "admission webhook denied the request: no GPUs on Fridays", "JobRefused"),
        (403, "Forbidden", "exceeded quota: small, requested: count/jobs.batch=1", "QuotaExceeded"),
    ],
)
async def test_a_job_that_the_api_server_refuses_is_told_in_its_words(
    server: APIServer, kube: Kube, bot: Object, code: int, reason: str, message: str, expected: str
) -> None:
    refuses_jobs(server, code, reason, message)
    await reconcile(kube)
    assert told(server, "Accepted")[0] == "True"
    holds, why, words = told(server, "Running")
    assert (holds, why) == ("False", expected)
    assert message in words
    assert "attempt" not in server.objects[FINE_TUNE_JOBS.path("ns", "bot")]["status"]


async def test_a_strangers_job_of_the_same_name_is_left_alone_and_told(
    server: APIServer, kube: Kube, bot: Object
) -> None:
    stranger = server.add(JOBS, "ns", "bot-1")
    await reconcile(kube)
    assert server.objects[JOBS.path("ns", "bot-1")] == stranger
    assert told(server, "Running")[1] == "NameConflict"


async def test_a_job_that_only_wears_our_label_is_not_taken_for_an_attempt(
    server: APIServer, kube: Kube, bot: Object
) -> None:
    labels = {JOB_UID_LABEL: bot["metadata"]["uid"], ATTEMPT_LABEL: "7"}
    over = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    server.add(JOBS, "ns", "forged", metadata={"labels": labels}, spec={}, status=over)
    await reconcile(kube)
    assert JOBS.path("ns", "bot-1") in server.objects


@pytest.mark.parametrize(
    "change", [{"metadata": {"uid": "another"}}, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}, None]
)
async def test_no_job_is_made_for_one_that_was_replaced_or_deleted_meanwhile(
    server: APIServer, kube: Kube, bot: Object, change: dict[str, Any] | None
) -> None:
    path = FINE_TUNE_JOBS.path("ns", "bot")
    looks = 0

    async def meanwhile(request: web.Request) -> None:
        nonlocal looks
        server.faults.append(meanwhile)
        looks += request.method == "GET" and request.path == path
        if looks == 2 and path in server.objects:
            gone = server.objects.pop(path)
            if change is not None:
                server.objects[path] = gone | {"metadata": gone["metadata"] | change["metadata"]}

    server.faults.append(meanwhile)
    with pytest.raises(Stale):
        await reconcile(kube)
    assert JOBS.path("ns", "bot-1") not in server.objects


async def test_only_what_has_not_ended_is_woken_and_everything_is_counted(
    server: APIServer, kube: Kube, bot: Object
) -> None:
    ended = {"state": "Complete", "conditions": [{"type": "Complete", "status": "True"}]}
    server.add(FINE_TUNE_JOBS, "ns", "old", spec=dict(SPEC), status=ended)
    reconciler = Reconciler(kube, ("ns",), SITE, Events(kube), Store())
    await reconciler.everything()
    assert len(reconciler._queue) == 1
    counted = {
        state: metrics.REGISTRY.get_sample_value("skipjack_jobs", {"state": state}) for state in ("Pending", "Complete")
    }
    assert counted == {"Pending": 1.0, "Complete": 1.0}
    await reconciler.job(bot, deleted=True)
    assert metrics.REGISTRY.get_sample_value("skipjack_jobs", {"state": "Pending"}) == 0


async def test_the_job_that_another_starts_from_is_read_with_its_claims(
    bot: Object, server: APIServer, kube: Kube
) -> None:
    bot["spec"] = {"startFrom": {"job": "sft"}, "dataset": SPEC["dataset"], "output": SPEC["output"]}
    await reconcile(kube)
    assert told(server, "Accepted")[1] == "StartNotFound"
    values = {"model.uri": "pvc://bases/llama", "method.type": "LoRA", "method.lora.rank": 4}
    resolved = [{"field": field, "value": json.dumps(value), "origin": "spec"} for field, value in values.items()]
    complete = [{"type": "Complete", "status": "True"}]
    kind = {"apiVersion": FINE_TUNE_JOBS.api_version, "kind": "FineTuneJob"}
    own = {"model": "pvc://bases/llama", "dataset": SPEC["dataset"], "output": {"uri": "pvc://tuned/sft"}}
    server.add(FINE_TUNE_JOBS, "ns", "sft", **kind, spec=own, status={"resolved": resolved, "conditions": complete})
    await reconcile(kube)
    assert told(server, "Accepted")[1] == "ClaimNotFound"
    for claim in ("bases", "tuned"):
        server.add(PERSISTENT_VOLUME_CLAIMS, "ns", claim, spec={"accessModes": ["ReadWriteOnce"]})
    await reconcile(kube)
    assert JOBS.path("ns", "bot-1") in server.objects
    del server.objects[FINE_TUNE_JOBS.path("ns", "sft")]
    await reconcile(kube)
    assert told(server, "Accepted")[1] == "Accepted"
