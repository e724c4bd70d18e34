"""The real API server refuses what is wrong, names the field, and says what is right."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.builders import catalogue, node_type
from tests.cluster import Cluster
from tests.refusals import REFUSALS, SMALL, Refusal, changed

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.resolve import resolve_spec
from skipjack_operator.manifests.pod import PodEnvironment, pod_spec

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]


class Server:
    def __init__(self, namespace: str) -> None:
        cluster = Cluster.current()
        self.namespace = namespace
        self.command = [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), "-n", namespace]

    def __call__(self, *arguments: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
        sent = json.dumps(body) if body else None
        done = subprocess.run([*self.command, *arguments], input=sent, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    def done(self, *arguments: str, body: dict[str, Any] | None = None) -> str:
        code, said = self(*arguments, body=body)
        assert code == 0, said
        return said

    def refused(self, *arguments: str, body: dict[str, Any] | None = None) -> str:
        code, said = self(*arguments, body=body)
        assert code != 0, f"accepted: {said}"
        return said


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A namespace of its own."""
    namespace = f"bad-specs-{uuid.uuid4().hex[:8]}"
    server = Server(namespace)
    server.done("create", "namespace", namespace)
    yield server
    server.done("delete", "namespace", namespace, "--wait=false")


def test_the_cluster_judges_by_the_schemas_of_this_tree(server: Server) -> None:
    for path in (ROOT / "crds").glob("*.yaml"):
        ours = yaml.safe_load(path.read_text())
        live = json.loads(server.done("get", "crd", ours["metadata"]["name"], "-o", "json"))
        assert live["spec"]["versions"][0]["schema"] == ours["spec"]["versions"][0]["schema"], f"apply {path.name}"


@pytest.mark.parametrize("refusal", REFUSALS, ids=[f"{i}-{r.kind}-{r.field}" for i, r in enumerate(REFUSALS)])
def test_a_bad_object_is_refused_by_field_and_remedy(server: Server, refusal: Refusal) -> None:
    said = server.refused("create", "--dry-run=server", "--validate=strict", "-f", "-", body=refusal.body)
    assert refusal.field in said
    assert refusal.remedy.replace("'", '"') in said.replace("'", '"')
    assert "should match" not in said, "a regular expression is no remedy"


def test_an_unknown_field_is_refused_by_name_under_strict_validation(server: Server) -> None:
    body = changed("FineTuneJob", "spec.hyperparameters.learning_rate", 1e-4)
    said = server.refused("create", "--dry-run=server", "--validate=strict", "-f", "-", body=body)
    assert 'unknown field "spec.hyperparameters.learning_rate"' in said


def test_the_smallest_objects_and_the_example_are_accepted(server: Server) -> None:
    for kind in SMALL:
        body = changed(kind, "metadata.name", "small")
        server.done("create", "--dry-run=server", "--validate=strict", "-f", "-", body=body)
    server.done("create", "--dry-run=server", "--validate=strict", "-f", str(ROOT / "examples/chat-lora.yaml"))


LONG = "a." * 126 + "b"
"""A domain of 253 characters."""


def largest(sources: int) -> dict[str, Any]:
    """A job that goes to every bound, but for how many sources it has."""
    rows = [{"uri": f"pvc://{LONG}/{'r' * 700}{index}.jsonl", "format": "Messages"} for index in range(sources)]
    keys = [f"{LONG}/{'k' * 60}{index:03}" for index in range(32)]
    tolerations = [
        {"key": key, "operator": "Equal", "value": "v" * 63, "effect": "NoExecute", "tolerationSeconds": 9}
        for key in keys
    ]
    pod = {
        "labels": dict.fromkeys(keys, "v" * 63),
        "annotations": dict.fromkeys(keys, "ä" * 1024),
        "tolerations": tolerations,
        "priorityClassName": LONG,
        "env": [{"name": f"{'A' * 120}_{index:03}", "value": "$(PATH) 'v'\n" * 300} for index in range(64)],
    }
    spec = {
        "model": f"hf://{'o' * 96}/{'n' * 96}@{'r' * 40}",
        "dataset": {"train": rows, "validation": rows},
        "method": {"type": "LoRA", "lora": {"targetModules": ["m" * 128] * 64}},
        "evaluation": {"prompts": ["p" * 4096] * 16},
        "output": {"uri": f"pvc://{LONG}/{'r' * 700}"},
        "credentials": [{"uriPrefix": f"https://{'h' * 1000}", "secretName": LONG}] * 16,
        "serviceAccountName": LONG,
        "managedBy": "example.com/nobody",
        "pod": pod,
    }
    return changed("FineTuneJob", "spec", spec)


def test_the_largest_job_is_within_the_api_servers_budget_for_rules(server: Server) -> None:
    server.done("create", "--dry-run=server", "--validate=strict", "-f", "-", body=largest(64))


def test_what_is_accepted_in_a_spec_is_accepted_in_its_pods(server: Server) -> None:
    resource = f"{'a.' * 121}b/{'g' * 63}"
    accelerator = {"resource": resource, "count": 1, "memory": "80Gi"}
    keys = {f"{LONG}/{'k' * 63}": "v" * 63, "plain": ""}
    offered = catalogue(node_type(accelerator=accelerator, nodeSelector=keys, tolerations=[{"operator": "Exists"}], runtimeClassName=LONG,
                                  cpu="0.125", cpuLimit="1500m", memory="1.5Gi"))  # fmt: skip
    own = FineTuneJobSpec.model_validate(largest(2)["spec"])
    whole = resolve_spec(own, "bot", server.namespace, str(uuid.uuid4()), offered)
    [offer] = offered.node_types
    pod = pod_spec(
        own, whole, offer.spec, 1, "localhost", PodEnvironment(image="trainer:1", progress_url="http://operator:8080")
    )
    assert own.pod is not None
    template = {"metadata": {"labels": own.pod.labels, "annotations": own.pod.annotations}, "spec": pod}
    made = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "bot-1"}, "spec": {"template": template}}
    server.done("create", "--dry-run=server", "--validate=strict", "-f", "-", body=made)


CHANGES: dict[str, Any] = {
    "model": "hf://org/other", "task": "Chat", "dataset": {"packing": True}, "method": {"type": "Full"},
    "hyperparameters": {"seed": 1}, "evaluation": {"everySteps": 5}, "checkpoint": {"keep": 5}, "compute": {"nodes": 2},
    "output": {"ifExists": "Replace"}, "credentials": [{"uriPrefix": "hf://", "secretName": "hub"}], "serviceAccountName": "other",
    "pod": {"env": [{"name": "NCCL_DEBUG", "value": "INFO"}]}, "startFrom": {"job": "other"}, "preference": {"loss": "IPO"},
    "integrations": [{"type": "TensorBoard"}],
}  # fmt: skip
FREE = {"suspend", "stop", "limits", "managedBy"}
"""Fields that may change while a job runs, or that other rules hold."""


def patch(server: Server, name: str, **spec: Any) -> tuple[int, str]:
    return server("patch", "ftj", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def test_every_field_that_may_not_change_is_tried() -> None:
    assert {field.alias for field in FineTuneJobSpec.model_fields.values()} == {*CHANGES, *FREE}


def test_what_an_attempt_started_with_stays(server: Server) -> None:
    server.done("create", "-f", "-", body=changed("FineTuneJob", "metadata.name", "started"))
    assert patch(server, "started", task="Completion")[0] == 0, "free before the first attempt"
    attempt = {"status": {"attempt": {"number": 1, "job": "started-1", "charged": 0}}}
    server.done("patch", "ftj", "started", "--subresource=status", "--type=merge", "-p", json.dumps(attempt))
    for field, value in [*CHANGES.items(), ("task", None)]:
        code, said = patch(server, "started", **{field: value})
        assert code != 0, f"{field} was changed"
        assert f"spec.{field} is fixed" in said
        assert "create a new job" in said
    assert patch(server, "started", suspend=True, limits={"backoffLimit": 1})[0] == 0


def test_stop_is_one_way_and_managed_by_stays(server: Server) -> None:
    server.done("create", "-f", "-", body=changed("FineTuneJob", "metadata.name", "stopped"))
    assert patch(server, "stopped", stop="Finish")[0] == 0
    for taken_back in (None, "Cancel"):
        code, said = patch(server, "stopped", stop=taken_back)
        assert code != 0
        assert "spec.stop is one way" in said
    for other in (None, "example.com/other"):
        code, said = patch(server, "stopped", managedBy=other)
        assert code != 0
        assert "spec.managedBy can't be changed" in said


def test_explain_has_a_word_on_every_field(server: Server) -> None:
    """`kubectl explain` reads the schema that the API server publishes."""
    published = json.loads(server.done("get", "--raw", "/openapi/v3/apis/skipjack.dev/v1alpha1"))["components"][
        "schemas"
    ]
    silent = []
    for kind in SMALL:
        [schema] = [found for name, found in published.items() if name.endswith(f".{kind}")]
        spec = schema["properties"]["spec"]
        silent += [path for path, field in fields(spec, f"{kind}.spec") if not field.get("description")]
    assert silent == []
    assert "Peak learning rate" in server.done("explain", "ftj.spec.hyperparameters.learningRate")
    assert "learningRate\t<number>" in server.done("explain", "ftj.spec", "--recursive")


def fields(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child
        yield from fields(child.get("items", child), f"{path}.{name}")


def test_the_kinds_have_short_names_a_category_and_columns(server: Server) -> None:
    server.done("create", "-f", "-", body=changed("FineTuneJob", "metadata.name", "shown"))
    assert "finetunejob.skipjack.dev/shown" in server.done("get", "skipjack", "-o", "name")
    assert server.done("get", "ftj", "shown").split()[:7] == [
        "NAME",
        "MODEL",
        "METHOD",
        "STATE",
        "PROGRESS",
        "LOSS",
        "ETA",
    ]
    assert server("get", "nt,bm")[0] == 0
