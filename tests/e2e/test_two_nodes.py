"""A gang on two nodes, and the loss of one: only on a cluster that has two (make up NODES=2)."""

from __future__ import annotations

import pytest
from tests.cluster.node import NODES
from tests.support.kubectl import Kubectl, condition, is_true
from tests.support.two_nodes import NEEDS_TWO_NODES, SECOND, cluster

from .jobs import bring, claim, ended, job

pytestmark = NEEDS_TWO_NODES
NOTICED_SECONDS = 600
"""Kubernetes takes 40 s to believe that a node is gone, and gives its pods another five minutes."""


def nodes_of(kubectl: Kubectl) -> set[str]:
    return {pod["spec"].get("nodeName", "") for pod in kubectl.list("pods", "skipjack.dev/job=sums")}


@pytest.mark.timeout(1200)
def test_a_gang_spreads_over_the_nodes_and_outlives_the_loss_of_one(kubectl: Kubectl) -> None:
    bring(kubectl)
    claim(kubectl, "shared", "ReadWriteMany")
    steps = {"hyperparameters": {"maxSteps": 1_000_000, "globalBatchSize": 4}, "checkpoint": {"everySteps": 50}}
    kubectl.apply(job(compute={"nodes": 2}, output={"uri": "pvc://shared/sums"}, **steps))
    kubectl.until(
        "ftj", "sums", lambda seen: seen.get("status", {}).get("progress", {}).get("checkpointStep", 0) >= 50, 120
    )
    assert nodes_of(kubectl) == {node.name for node in NODES}
    cluster("lose", str(SECOND.number))
    try:
        second = kubectl.until("ftj", "sums", lambda seen: seen["status"]["attempt"]["number"] == 2, NOTICED_SECONDS)
        assert second["status"]["attempt"]["charged"] == 0, "a lost node is not the job's fault"
    finally:
        cluster("up", "--nodes", "2")
    kubectl.until("ftj", "sums", lambda seen: seen["status"]["progress"]["attempt"] == 2, 240)
    kubectl("patch", "ftj", "sums", "--type=merge", "-p", '{"spec":{"stop":"Finish"}}')
    seen = ended(kubectl)
    assert is_true("Complete")(seen), condition(seen, "Failed")
