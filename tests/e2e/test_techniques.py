"""Techniques on the real cluster: a quantised base, weights sharded over pods, state offloaded; side by side, in real pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import Cluster
from tests.support.kubectl import Kubectl, a_namespace, condition

from .jobs import bring, claim, ended, job

pytestmark = pytest.mark.cluster

LONG: dict[str, Any] = {"hyperparameters": {"maxSteps": 120, "globalBatchSize": 4}, "checkpoint": {"everySteps": 20}}
JOBS: dict[str, dict[str, Any]] = {
    "qlora": {"method": {"type": "QLoRA"}},
    "offloaded": {"compute": {"strategy": "ZeRO2", "offload": {"optimizer": "CPU"}}},
    "sharded": {"method": {"type": "Full"}, "compute": {"nodes": 2, "strategy": "ZeRO3"}} | LONG,
}


@pytest.fixture(scope="module")
def trained(cluster: Cluster) -> Iterator[Kubectl]:
    """A namespace in which they run; a pod of the sharded one is lost after its first checkpoint."""
    with a_namespace(cluster) as kubectl:
        bring(kubectl)
        claim(kubectl, "shared", "ReadWriteMany")
        for name, changes in JOBS.items():
            kubectl.apply(job(name, output={"uri": f"pvc://shared/{name}"}, **changes))
        kubectl.until("ftj", "sharded", lambda seen: _saved(seen) >= 20, 180)
        kubectl(
            "delete", "pod", "-l", "skipjack.dev/job=sharded,batch.kubernetes.io/job-completion-index=1", "--wait=false"
        )
        yield kubectl


def _saved(seen: dict[str, Any]) -> int:
    step: int = seen.get("status", {}).get("progress", {}).get("checkpointStep", 0)
    return step


@pytest.mark.parametrize("name", JOBS)
def test_it_learns_in_real_pods(trained: Kubectl, name: str) -> None:
    seen = ended(trained, name)
    assert seen["status"]["state"] == "Complete", condition(seen, "Failed")
    metrics = seen["status"]["output"]["metrics"]
    assert float(metrics["heldout_loss_after"]) < float(metrics["heldout_loss_before"])


def test_sharded_weights_outlive_the_loss_of_a_pod(trained: Kubectl) -> None:
    seen = ended(trained, "sharded")
    assert (seen["status"]["attempt"]["number"], seen["status"]["attempt"]["charged"]) == (2, 0)
    assert "going on from the checkpoint of step" in trained("logs", "job/sharded-2", "--tail=-1", "--all-pods")
