"""What users do, on the real cluster: real pods train a tiny model from the hub."""

from __future__ import annotations

import re

import pytest
from tests.cluster import Cluster
from tests.support.kubectl import Kubectl, condition, is_true
from tests.support.writes import job_writes

from .jobs import bring, ended, job

pytestmark = pytest.mark.cluster


def test_a_job_ends_complete_with_few_writes_and_all_told_back(kubectl: Kubectl, cluster: Cluster) -> None:
    bring(kubectl)
    kubectl.apply(job())
    seen = ended(kubectl)
    assert is_true("Complete")(seen), condition(seen, "Failed")
    status = seen["status"]
    assert status["output"]["digest"].startswith("sha256:")
    assert float(status["output"]["metrics"]["heldout_loss_after"]) < float(
        status["output"]["metrics"]["heldout_loss_before"]
    )
    told = {value["field"]: value for value in status["resolved"]}
    assert told["task"]["value"] == '"Completion"'
    assert re.fullmatch(r'"hf://skipjack-test/tiny-llama@[0-9a-f]{40}"', told["model.uri"]["value"])
    assert status["progress"]["step"] == status["progress"]["steps"] == 12
    assert job_writes(cluster, seen).counted <= 8


def test_a_finished_job_is_never_trained_again(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job())
    ended(kubectl)
    kubectl("delete", "job", "sums-1")
    kubectl("annotate", "ftj", "sums", "touched=yes")
    kubectl.apply(job("later", output={"uri": "pvc://models/later"}))
    ended(kubectl, "later")
    assert [child["metadata"]["name"] for child in kubectl.list("jobs")] == ["later-1"]


def test_an_unknown_node_type_is_refused_with_the_nearest(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(compute={"nodeType": "cpus"}))
    seen = kubectl.until("ftj", "sums", lambda seen: condition(seen, "Accepted").get("status") == "False", 30)
    assert "Did you mean cpu?" in condition(seen, "Accepted")["message"]
    assert kubectl.list("jobs") == []


def test_a_missing_claim_is_named_and_waited_for(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(output={"uri": "pvc://elsewhere/sums"}))
    seen = kubectl.until("ftj", "sums", lambda seen: condition(seen, "Accepted").get("status") == "False", 30)
    assert condition(seen, "Accepted")["reason"] == "ClaimNotFound"


def test_a_claim_that_two_nodes_cannot_share_is_refused(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(compute={"nodes": 2}))
    seen = kubectl.until("ftj", "sums", lambda seen: condition(seen, "Accepted").get("status") == "False", 30)
    assert condition(seen, "Accepted")["reason"] == "ClaimNotShared"


def test_a_killed_trainer_goes_on_from_its_checkpoint(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(hyperparameters={"maxSteps": 1200, "globalBatchSize": 4}, checkpoint={"everySteps": 50}))
    kubectl.until(
        "ftj", "sums", lambda seen: seen.get("status", {}).get("progress", {}).get("checkpointStep", 0) >= 50, 120
    )
    kubectl("delete", "pod", "-l", "skipjack.dev/job=sums", "--wait=false")
    kubectl.until("ftj", "sums", lambda seen: seen["status"]["attempt"]["number"] == 2, 120)
    seen = ended(kubectl)
    assert is_true("Complete")(seen), condition(seen, "Failed")
    assert seen["status"]["attempt"]["charged"] == 0
    assert "going on from the checkpoint of step" in kubectl("logs", "job/sums-2", "--tail=-1")


def test_a_cancelled_job_fails_as_cancelled_and_its_pod_goes(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(hyperparameters={"maxSteps": 1000000, "globalBatchSize": 4}))
    kubectl.until("ftj", "sums", is_true("Running"), 60)
    kubectl("patch", "ftj", "sums", "--type=merge", "-p", '{"spec":{"stop":"Cancel"}}')
    assert ended(kubectl)["status"]["failure"]["reason"] == "Cancelled"
    kubectl("wait", "--for=delete", "pod", "-l", "skipjack.dev/job=sums", "--timeout=60s")
