"""Every kind of failure reaches the status on the real cluster: by reason, and by a sentence that says what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import Cluster
from tests.support.kubectl import Kubectl, a_namespace, condition

from .jobs import ROWS, bring, ended, job, rows

pytestmark = pytest.mark.cluster


def of(configmap: str, key: str = "train.jsonl") -> dict[str, Any]:
    return {"dataset": {"train": [{"uri": f"configmap://{configmap}/{key}"}]}}


def by(secret: str, model: str) -> dict[str, Any]:
    return {"model": model, "credentials": [{"uriPrefix": "hf://", "secretName": secret}]}


FAILING: dict[str, tuple[dict[str, Any], str, tuple[str, ...]]] = {
    "broken-rows": (
        of("broken"),
        "DataInvalid",
        ("train.jsonl:2: not JSON", "train.jsonl:3: completion: expected text, found 4"),
    ),
    "no-rows": (of("empty"), "DataInvalid", ("configmap://empty/train.jsonl",)),
    "no-key": (of("sums", "other.jsonl"), "DataNotFound", ("other.jsonl", "it has train.jsonl")),
    "no-model": ({"model": "hf://skipjack-test/nothing"}, "ModelNotFound", ("spec.credentials",)),
    "no-revision": ({"model": "hf://skipjack-test/tiny-llama@v9"}, "ModelNotFound", ("revision",)),
    "gated-model": ({"model": "hf://skipjack-test/gated-llama"}, "AccessDenied", ("spec.credentials",)),
    "no-config": ({"model": "pvc://models/nowhere"}, "ModelNotFound", ("config.json",)),
    "wrong-token": (by("wrong", "hf://skipjack-test/private-llama"), "ModelNotFound", ("spec.credentials",)),
    "no-secret": (by("absent", "hf://skipjack-test/tiny-llama"), "AccessDenied", ("Secret absent",)),
}
"""Name → (what is wrong in its spec, the reason, words of the message)."""


@pytest.fixture(scope="module")
def failing(cluster: Cluster) -> Iterator[Kubectl]:
    """A namespace in which all of them run, side by side."""
    with a_namespace(cluster) as kubectl:
        bring(kubectl)
        rows(kubectl, "broken", [json.dumps(ROWS[0]), "{broken", json.dumps({"prompt": "2", "completion": 4})])
        rows(kubectl, "empty", [""])
        kubectl("create", "secret", "generic", "wrong", "--from-literal=token=wrong")
        for name, (changes, _, _) in FAILING.items():
            kubectl.apply(job(name, output={"uri": f"pvc://models/{name}"}, **changes))
        yield kubectl


@pytest.mark.parametrize("name", FAILING)
def test_what_is_wrong_is_told_by_reason_and_remedy(failing: Kubectl, name: str) -> None:
    _, reason, words = FAILING[name]
    seen = ended(failing, name)
    assert seen["status"]["failure"]["reason"] == reason
    message = condition(seen, "Failed")["message"]
    assert [word for word in words if word not in message] == []


def test_bad_rows_are_told_by_the_exit_code_and_the_condition_too(failing: Kubectl) -> None:
    seen = ended(failing, "broken-rows")
    assert seen["status"]["failure"]["exitCode"] == 10
    assert condition(seen, "DataReady")["status"] == "False"


def test_the_right_token_opens_a_private_model(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl("create", "secret", "generic", "hub", "--from-literal=token=hf_test")
    kubectl.apply(job(**by("hub", "hf://skipjack-test/private-llama")))
    assert ended(kubectl)["status"]["state"] == "Complete"


def test_too_little_memory_is_told_as_such(kubectl: Kubectl) -> None:
    bring(kubectl)
    small = {"cpu": "100m", "cpuLimit": "2", "memory": "150Mi", "precisions": ["FP32"]}
    kind = {"apiVersion": "skipjack.dev/v1alpha1", "kind": "NodeType", "metadata": {"name": kubectl.namespace}}
    kubectl.apply(kind | {"spec": small})
    try:
        kubectl.apply(job(compute={"nodeType": kubectl.namespace}, limits={"backoffLimit": 0}))
        seen = ended(kubectl)
    finally:
        kubectl("delete", "nodetype", kubectl.namespace)
    assert seen["status"]["failure"]["reason"] == "OutOfMemory"
    assert "150Mi" in condition(seen, "Failed")["message"]


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
