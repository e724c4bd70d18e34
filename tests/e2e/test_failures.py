"""Every kind of failure reaches the status on the real cluster: by reason, and by a sentence that says what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.kubectl import Kubectl, condition

from .jobs import ROWS, bring, ended, job

pytestmark = pytest.mark.cluster


def failure(kubectl: Kubectl) -> tuple[str, str]:
    seen = ended(kubectl)
    return seen["status"]["failure"]["reason"], condition(seen, "Failed")["message"]


def test_bad_rows_are_named_by_file_line_and_field(kubectl: Kubectl) -> None:
    bring(kubectl, [json.dumps(ROWS[0]), "{broken", json.dumps({"prompt": "2", "completion": 4})])
    kubectl.apply(job())
    seen = ended(kubectl)
    assert seen["status"]["failure"]["reason"] == "DataInvalid"
    assert seen["status"]["failure"]["exitCode"] == 10
    assert condition(seen, "DataReady")["status"] == "False"
    message = condition(seen, "Failed")["message"]
    assert "train.jsonl:2: not JSON" in message
    assert "train.jsonl:3: completion: expected text, found 4" in message


def test_an_empty_dataset_is_told(kubectl: Kubectl) -> None:
    bring(kubectl, [""])
    kubectl.apply(job())
    reason, message = failure(kubectl)
    assert reason == "DataInvalid"
    assert "configmap://sums/train.jsonl" in message


def test_a_missing_key_of_a_configmap_is_named(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(dataset={"train": [{"uri": "configmap://sums/other.jsonl"}]}))
    reason, message = failure(kubectl)
    assert reason == "DataNotFound"
    assert "other.jsonl" in message
    assert "it has train.jsonl" in message


@pytest.mark.parametrize(
    ("model", "reason", "remedy"),
    [
        ("hf://skipjack-test/nothing", "ModelNotFound", "spec.credentials"),
        ("hf://skipjack-test/tiny-llama@v9", "ModelNotFound", "revision"),
        ("hf://skipjack-test/gated-llama", "AccessDenied", "spec.credentials"),
        ("pvc://models/nowhere", "ModelNotFound", "config.json"),
    ],
)
def test_a_model_that_cannot_be_had_is_told_with_the_remedy(
    kubectl: Kubectl, model: str, reason: str, remedy: str
) -> None:
    bring(kubectl)
    kubectl.apply(job(model=model))
    told, message = failure(kubectl)
    assert told == reason
    assert remedy in message


def test_a_token_opens_a_private_model_and_a_wrong_one_does_not(kubectl: Kubectl) -> None:
    bring(kubectl)
    private: dict[str, Any] = {
        "model": "hf://skipjack-test/private-llama",
        "credentials": [{"uriPrefix": "hf://", "secretName": "hub"}],
    }
    kubectl("create", "secret", "generic", "hub", "--from-literal=token=wrong")
    kubectl.apply(job(**private))
    assert failure(kubectl)[0] in ("AccessDenied", "ModelNotFound")
    kubectl("delete", "secret", "hub")
    kubectl("create", "secret", "generic", "hub", "--from-literal=token=hf_test")
    kubectl.apply(job("right", **private))
    assert ended(kubectl, "right")["status"]["state"] == "Complete"


def test_a_missing_secret_is_named(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job(credentials=[{"uriPrefix": "hf://", "secretName": "absent"}]))
    reason, message = failure(kubectl)
    assert reason == "AccessDenied"
    assert "Secret absent" in message


def test_too_little_memory_is_told_as_such(kubectl: Kubectl) -> None:
    bring(kubectl)
    small = {"cpu": "100m", "cpuLimit": "2", "memory": "150Mi", "precisions": ["FP32"]}
    kind = {"apiVersion": "skipjack.dev/v1alpha1", "kind": "NodeType", "metadata": {"name": kubectl.namespace}}
    kubectl.apply(kind | {"spec": small})
    try:
        kubectl.apply(job(compute={"nodeType": kubectl.namespace}, limits={"backoffLimit": 0}))
        reason, message = failure(kubectl)
    finally:
        kubectl("delete", "nodetype", kubectl.namespace)
    assert reason == "OutOfMemory"
    assert "150Mi" in message


def test_anothers_result_is_not_overwritten(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job())
    ended(kubectl)
    kubectl.apply(job("second"))
    seen = ended(kubectl, "second")
    assert seen["status"]["failure"]["reason"] == "OutputExists"
    assert f"{kubectl.namespace}/sums" in condition(seen, "Failed")["message"]
    kubectl.apply(job("third", output={"uri": "pvc://models/sums", "ifExists": "Replace"}))
    assert ended(kubectl, "third")["status"]["state"] == "Complete"


def test_a_quota_that_forbids_pods_is_told_in_the_clusters_words(kubectl: Kubectl) -> None:
    bring(kubectl)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
    kubectl.apply(quota)
    kubectl.apply(job())
    held = kubectl.until(
        "ftj", "sums", lambda seen: "exceeded quota" in condition(seen, "Running").get("message", ""), 60
    )
    assert condition(held, "Running")["reason"] == "FailedCreate"
    kubectl("delete", "resourcequota", "none")
    assert ended(kubectl)["status"]["state"] == "Complete"
