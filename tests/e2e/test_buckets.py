"""Results in a bucket, on the real cluster: pods reach an S3 server on the host that the cluster's hub is on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.cluster import Cluster
from tests.support import buckets
from tests.support.kubectl import Kubectl, condition, is_true

from .jobs import ROWS, ended, job, rows

pytestmark = pytest.mark.cluster

OPENED = {"credentials": [{"uriPrefix": "s3://", "secretName": "bucket"}]}


@pytest.fixture
def server(kubectl: Kubectl, cluster: Cluster, tmp_path: Path) -> Iterator[buckets.Server]:
    """The bucket `data`, with a Secret in the test's namespace that opens it, and the rows."""
    host = urlsplit(cluster.hub_endpoint).hostname
    assert host, "jobs of these tests take their model from the cluster's hub"
    rows(kubectl, "sums", [json.dumps(row) for row in ROWS])
    with buckets.serving("s3", tmp_path, address=host) as made:
        keys = [f"--from-literal={key}={value}" for key, value in made.secret().items()]
        kubectl("create", "secret", "generic", "bucket", *keys)
        yield made


def in_bucket(name: str = "sums", **changes: Any) -> dict[str, Any]:
    return job(name, **({"output": {"uri": "s3://data/sums"}} | OPENED | changes))


def test_a_result_in_a_bucket_needs_no_claim_and_is_refused_to_others_and_gone_on_from(
    kubectl: Kubectl, server: buckets.Server
) -> None:
    kubectl.apply(in_bucket())
    seen = ended(kubectl)
    assert is_true("Complete")(seen), condition(seen, "Failed")
    assert seen["status"]["output"]["uri"] == "s3://data/sums"
    mark = json.loads((server.folder / "data/sums/skipjack.json").read_text())
    assert mark["jobUid"] == seen["metadata"]["uid"]
    kubectl.apply(in_bucket("other"))
    assert ended(kubectl, "other")["status"]["failure"]["reason"] == "OutputExists"
    longer = in_bucket("longer", hyperparameters={"maxSteps": 16}, output={"uri": "s3://data/longer"})
    longer["spec"] |= {"startFrom": {"job": "sums", "state": "Full"}}
    del longer["spec"]["model"]
    kubectl.apply(longer)
    seen = ended(kubectl, "longer")
    assert is_true("Complete")(seen), condition(seen, "Failed")
    assert "step 13/16" in kubectl("logs", "job/longer-1", "--tail=-1")


@pytest.mark.usefixtures("server")
def test_a_key_that_does_not_open_is_told_by_secret_and_never_shown(kubectl: Kubectl) -> None:
    kubectl("create", "secret", "generic", "wrong", "--from-literal=AWS_ACCESS_KEY_ID=key")
    kubectl.apply(in_bucket(credentials=[{"uriPrefix": "s3://", "secretName": "wrong"}]))
    failure = ended(kubectl)["status"]["failure"]
    assert failure["reason"] == "AccessDenied"
    assert "Secret wrong is missing or has no key 'AWS_SECRET_ACCESS_KEY'" in failure["message"]


@pytest.mark.timeout(600)
def test_a_pod_that_is_lost_goes_on_from_its_checkpoint_in_the_bucket(kubectl: Kubectl, server: buckets.Server) -> None:
    steps = {"hyperparameters": {"maxSteps": 1_000_000, "globalBatchSize": 4}, "checkpoint": {"everySteps": 20}}
    kubectl.apply(in_bucket(**steps))
    kubectl.until("ftj", "sums", lambda seen: seen.get("status", {}).get("progress", {}).get("checkpointStep", 0) >= 20)
    kubectl("delete", "pod", "--selector=skipjack.dev/job=sums", "--grace-period=0", "--force")
    kubectl.until("ftj", "sums", lambda seen: seen["status"]["progress"].get("attempt") == 2)
    kubectl("patch", "ftj", "sums", "--type=merge", "-p", '{"spec":{"stop":"Finish"}}')
    seen = ended(kubectl)
    assert is_true("Complete")(seen), condition(seen, "Failed")
    assert "going on from the checkpoint of step" in kubectl("logs", "job/sums-2", "--tail=-1")
    assert (server.folder / "data/sums/adapter_model.safetensors").is_file()
