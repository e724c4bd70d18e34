"""A job's life on the real cluster: paused, finished early, watched by an operator that dies, in two pods, deleted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.cluster import Cluster
from tests.support.install import NAMESPACE
from tests.support.kubectl import CommandFailed, Kubectl, condition, is_true

from .jobs import bring, claim, ended, job

pytestmark = pytest.mark.cluster

LONG = {"hyperparameters": {"maxSteps": 1_000_000, "globalBatchSize": 4}, "checkpoint": {"everySteps": 50}}
"""Longer than any test: it ends by what the test does."""


def patch(kubectl: Kubectl, **spec: Any) -> None:
    kubectl("patch", "ftj", "sums", "--type=merge", "-p", json.dumps({"spec": spec}))


def step(seen: dict[str, Any]) -> int:
    return int(seen.get("status", {}).get("progress", {}).get("step", 0))


def test_a_suspended_job_releases_its_hardware_and_goes_on_where_it_was(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(**LONG))
    kubectl.until("ftj", "sums", lambda seen: step(seen) >= 60, 90)
    patch(kubectl, suspend=True)
    kubectl("wait", "--for=delete", "pod", "-l", "skipjack.dev/job=sums", "--timeout=90s")
    paused = kubectl.until("ftj", "sums", is_true("Suspended"), 30)
    assert paused["status"]["state"] == "Suspended"
    assert not is_true("Failed")(paused)
    patch(kubectl, suspend=False)
    going = kubectl.until("ftj", "sums", lambda seen: is_true("Running")(seen) and step(seen) > step(paused), 90)
    assert going["status"]["attempt"]["number"] == 1, "suspension stays within one Job"
    assert condition(going, "Suspended")["status"] == "False"
    assert "going on from the checkpoint of step" in kubectl("logs", "job/sums-1", "--tail=-1")


def test_a_job_created_suspended_makes_nothing_until_it_is_let_go(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(suspend=True))
    seen = kubectl.until("ftj", "sums", is_true("Suspended"), 30)
    assert condition(seen, "Accepted")["status"] == "True"
    assert kubectl.list("jobs") == []
    patch(kubectl, suspend=False)
    assert is_true("Complete")(ended(kubectl))


def test_finish_exports_what_is_there_and_completes(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(**LONG))
    kubectl.until("ftj", "sums", lambda seen: step(seen) >= 20, 90)
    patch(kubectl, stop="Finish")
    seen = ended(kubectl)
    assert is_true("Complete")(seen), condition(seen, "Failed")
    assert seen["status"]["output"]["digest"].startswith("sha256:")
    with pytest.raises(CommandFailed, match="one way"):
        patch(kubectl, stop=None)


def test_a_killed_operator_loses_nothing(kubectl: Kubectl, cluster: Cluster) -> None:
    bring(kubectl)
    kubectl.apply(job(**LONG))
    before = kubectl.until("ftj", "sums", lambda seen: step(seen) >= 20, 90)
    system = Kubectl.of(cluster, NAMESPACE)
    leader = "skipjack.dev/leader=true"
    killed = [pod["metadata"]["name"] for pod in system.list("pods", leader)]
    system("delete", "pod", "-l", leader, "--grace-period=0", "--force")
    after = kubectl.until("ftj", "sums", lambda seen: step(seen) > step(before) + 200, 120)
    assert after["status"]["attempt"] == before["status"]["attempt"]
    assert [pod["metadata"]["name"] for pod in system.list("pods", leader)] != killed
    patch(kubectl, stop="Finish")
    seen = ended(kubectl)
    assert is_true("Complete")(seen), condition(seen, "Failed")


def test_two_pods_train_one_model(kubectl: Kubectl) -> None:
    bring(kubectl)
    claim(kubectl, "shared", "ReadWriteMany")
    kubectl.apply(job(compute={"nodes": 2}, output={"uri": "pvc://shared/sums"}))
    seen = ended(kubectl)
    assert is_true("Complete")(seen), condition(seen, "Failed")
    assert len(kubectl.list("pods", "skipjack.dev/job=sums")) == 2
    assert seen["status"]["progress"]["step"] == 12


def test_a_pod_of_two_that_is_lost_takes_its_gang_along_and_the_next_goes_on(kubectl: Kubectl) -> None:
    bring(kubectl)
    claim(kubectl, "shared", "ReadWriteMany")
    kubectl.apply(job(compute={"nodes": 2}, output={"uri": "pvc://shared/sums"}, **LONG))
    saved = kubectl.until(
        "ftj", "sums", lambda seen: seen.get("status", {}).get("progress", {}).get("checkpointStep", 0) >= 50, 120
    )
    kubectl("delete", "pod", "-l", "batch.kubernetes.io/job-completion-index=1", "--wait=false")
    seen = kubectl.until(
        "ftj", "sums", lambda seen: seen["status"]["progress"]["attempt"] == 2 and step(seen) > step(saved), 150
    )
    assert seen["status"]["attempt"]["charged"] == 0
    patch(kubectl, stop="Cancel")
    kubectl("wait", "--for=delete", "pod", "-l", "skipjack.dev/job=sums", "--timeout=120s")


def test_what_is_learnt_cannot_be_changed_while_it_is_learnt(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(**LONG))
    kubectl.until("ftj", "sums", lambda seen: "attempt" in seen.get("status", {}), 30)
    with pytest.raises(CommandFailed, match="create a new job"):
        patch(kubectl, hyperparameters={"learningRate": 0.5})
    patch(kubectl, limits={"backoffLimit": 7})


def test_a_deleted_job_takes_its_pods_along_and_leaves_its_result(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job())
    ended(kubectl)
    kubectl("delete", "ftj", "sums", "--timeout=60s")
    kubectl("wait", "--for=delete", "job/sums-1", "--timeout=60s")
    kubectl.apply(job())
    seen = ended(kubectl)
    assert seen["status"]["failure"]["reason"] == "OutputExists", "the first one's result is still there"
