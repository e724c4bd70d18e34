"""Results that are pushed, on the real cluster: to the registry that its images come from, and to its hub."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from huggingface_hub import HfApi
from tests.cluster import Cluster
from tests.support.kubectl import CommandFailed, Kubectl, condition, is_true

from .jobs import bring, ended, job

pytestmark = pytest.mark.cluster

KEPT = {"uri": "pvc://models/kept", "everySteps": 6}
WRITER = "hf_writer"
"""The token that the cluster's hub lets write."""


def whole(seen: dict[str, Any]) -> dict[str, Any]:
    assert is_true("Complete")(seen), condition(seen, "Failed")
    output: dict[str, Any] = seen["status"]["output"]
    return output


def test_a_result_in_a_registry_is_found_refused_to_others_and_gone_on_from(kubectl: Kubectl, cluster: Cluster) -> None:
    bring(kubectl)
    registry = cluster.trainer_image.partition("/")[0]
    repository = f"results/{kubectl.namespace}"
    pushed = {"output": {"uri": f"oci://{registry}/{repository}:v1"}, "checkpoint": KEPT}
    kubectl.apply(job(**pushed))
    uri = whole(ended(kubectl))["uri"]
    address, _, digest = uri.rpartition("@")
    assert address == f"oci://{registry}/{repository}"
    accepted = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    manifest = requests.get(
        f"http://{registry}/v2/{repository}/manifests/{digest}", headers=accepted, timeout=10
    ).json()
    titles = {layer["annotations"]["org.opencontainers.image.title"] for layer in manifest["layers"]}
    assert {"adapter_model.safetensors", "README.md", "skipjack.json"} <= titles
    assert manifest["annotations"]["dev.skipjack.job"] == f"{kubectl.namespace}/sums"
    kubectl.apply(job("other", **pushed))
    assert ended(kubectl, "other")["status"]["failure"]["reason"] == "OutputExists"
    longer = job("longer", hyperparameters={"maxSteps": 16}, output={"uri": "pvc://models/longer"})
    longer["spec"] |= {"startFrom": {"job": "sums", "state": "Full"}}
    del longer["spec"]["model"]
    kubectl.apply(longer)
    whole(ended(kubectl, "longer"))
    assert "step 13/16" in kubectl("logs", "job/longer-1", "--tail=-1")


def test_a_result_on_the_hub_is_private_and_of_one_commit(kubectl: Kubectl, cluster: Cluster) -> None:
    bring(kubectl)
    kubectl("create", "secret", "generic", "hub", f"--from-literal=token={WRITER}")
    repository = f"skipjack-test/{kubectl.namespace}"
    credentials = [{"uriPrefix": f"hf://{repository}", "secretName": "hub"}]
    kubectl.apply(job(output={"uri": f"hf://{repository}"}, checkpoint=KEPT, credentials=credentials))
    uri = whole(ended(kubectl))["uri"]
    told = HfApi(endpoint=cluster.hub_endpoint, token=WRITER).model_info(repository)
    assert (told.private, uri) == (True, f"hf://{repository}@{told.sha}")
    kubectl.apply(job("stranger", output={"uri": f"hf://{repository}"}, checkpoint=KEPT))
    assert ended(kubectl, "stranger")["status"]["failure"]["reason"] == "AccessDenied"


def test_a_pushed_result_without_a_place_for_checkpoints_is_refused(kubectl: Kubectl) -> None:
    with pytest.raises(CommandFailed, match=r"say in checkpoint\.uri where these go"):
        kubectl.apply(job(output={"uri": "hf://skipjack-test/sums"}))
