"""The real API server refuses each of these, names the field, and says what is right."""

from __future__ import annotations

import copy
import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster import Cluster

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
DROP = object()
SMALL = {
    "apiVersion": "skipjack.dev/v1alpha1",
    "kind": "FineTuneJob",
    "metadata": {"name": "bot"},
    "spec": {
        "model": "hf://org/m",
        "dataset": {"train": [{"uri": "configmap://d/t.jsonl"}]},
        "output": {"uri": "pvc://m/r"},
        "managedBy": "example.com/nobody",
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The small job with one field set, or dropped; numbers in the dotted path are places in a list."""
    body: Any = copy.deepcopy(SMALL)
    at: Any = body
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    for step in way:
        at = at[step] if isinstance(step, int) else at.setdefault(step, {})
    if value is DROP:
        del at[last]
    else:
        at[last] = value
    return dict(body)


TRAIN = "spec.dataset.train"
H = "spec.hyperparameters"
BAD: list[tuple[str, Any, str, str]] = [
    ("metadata.name", "a" * 53, "metadata.name", "at most 52"),
    ("metadata.name", "1bot", "metadata.name", "begin with a letter"),
    ("metadata.name", "bot.v2", "metadata.name", "lower-case letters"),
    ("spec.model", DROP, "spec.model", "Required"),
    ("spec.model", "", "spec.model", "should match"),
    ("spec.model", "My Model", "spec.model", "should match"),
    ("spec.model", "ftp://a/b", "spec.model", "should match"),
    ("spec.model", "hf://a/b?x=1", "spec.model", "should match"),
    ("spec.model", "hf://" + "a" * 1100, "spec.model", "may not be more than 1024"),
    ("spec.modle", "x", "spec.modle", "unknown field"),
    ("spec.task", "chat", "spec.task", '"Chat"'),
    ("spec.dataset", DROP, "spec.dataset", "Required"),
    (TRAIN, DROP, "spec.dataset.train", "Required"),
    (TRAIN, [], "spec.dataset.train", "at least 1"),
    (TRAIN, [{"uri": "configmap://d/t"}] * 65, "spec.dataset.train", "at most 64"),
    (f"{TRAIN}.0.uri", DROP, "spec.dataset.train[0].uri", "Required"),
    (f"{TRAIN}.0.uri", "/data/t.jsonl", "spec.dataset.train[0].uri", "should match"),
    (f"{TRAIN}.0.uri", "pvc://c/../t.jsonl", "spec.dataset.train[0]", "must not climb out"),
    (f"{TRAIN}.0.uri", "https://me:secret@h/t.jsonl", "spec.dataset.train[0]", "spec.credentials"),
    (f"{TRAIN}.0.format", "ShareGPT", "spec.dataset.train[0].format", '"Conversations"'),
    ("spec.dataset.validation", [], "spec.dataset.validation", "at least 1"),
    ("spec.dataset.validationSplit", "0.05", "spec.dataset.validationSplit", "should match"),
    ("spec.dataset.validationSplit", 5, "spec.dataset.validationSplit", "string"),
    ("spec.dataset", SMALL["spec"]["dataset"] | {"validation": [{"uri": "configmap://d/v"}], "validationSplit": "5%"},  # type: ignore[index]
     "spec.dataset", "exclude each other"),
    ("spec.dataset.trainOn", "User", "spec.dataset.trainOn", '"Assistant"'),
    ("spec.dataset.overlong", "Split", "spec.dataset.overlong", '"Truncate"'),
    ("spec.dataset.packing", "yes", "spec.dataset.packing", "boolean"),
    ("spec.method", {"type": "QLoRA"}, "spec.method.type", '"LoRA"'),
    ("spec.method", {"type": "Full", "lora": {}}, "spec.method", "remove it or change the type"),
    ("spec.method", {"lora": {}}, "spec.method.type", "Required"),
    ("spec.method", {"type": "LoRA", "lora": {"rank": 0}}, "spec.method.lora.rank", "greater than or equal to 1"),
    ("spec.method", {"type": "LoRA", "lora": {"dropout": 1}}, "spec.method.lora.dropout", "less than 1"),
    ("spec.method", {"type": "LoRA", "lora": {"alpha": 0}}, "spec.method.lora.alpha", "greater than 0"),
    ("spec.method", {"type": "LoRA", "lora": {"targetModules": []}}, "spec.method.lora.targetModules", "at least 1"),
    (H, {"epochs": 1, "maxSteps": 5}, "spec.hyperparameters", "exclude each other"),
    (H, {"epochs": 0}, "spec.hyperparameters.epochs", "greater than 0"),
    (H, {"learningRate": "2e-4"}, "spec.hyperparameters.learningRate", "number"),
    (H, {"learningRate": 2}, "spec.hyperparameters.learningRate", "less than or equal to 1"),
    (H, {"globalBatchSize": 0}, "spec.hyperparameters.globalBatchSize", "greater than or equal to 1"),
    (H, {"scheduler": "cosine"}, "spec.hyperparameters.scheduler", '"Cosine"'),
    (H, {"warmupRatio": 1.5}, "spec.hyperparameters.warmupRatio", "less than or equal to 1"),
    (H, {"seed": -1}, "spec.hyperparameters.seed", "greater than or equal to 0"),
    (H, {"maxLength": 4}, "spec.hyperparameters.maxLength", "greater than or equal to 8"),
    ("spec.evaluation", {"prompts": [""]}, "spec.evaluation.prompts[0]", "at least 1"),
    ("spec.checkpoint", {"keep": 0}, "spec.checkpoint.keep", "greater than or equal to 1"),
    ("spec.compute", {"nodes": 0}, "spec.compute.nodes", "greater than or equal to 1"),
    ("spec.compute", {"precision": "FP16"}, "spec.compute.precision", '"BF16"'),
    ("spec.compute", {"nodeType": "A 100"}, "spec.compute.nodeType", "should match"),
    ("spec.output", DROP, "spec.output", "Required"),
    ("spec.output.uri", "s3://b/r", "spec.output.uri", "should match"),
    ("spec.output.uri", "pvc://m", "spec.output.uri", "should match"),
    ("spec.output.uri", "pvc://m/a/../b", "spec.output", "must not climb out"),
    ("spec.output.ifExists", "Overwrite", "spec.output.ifExists", '"Replace"'),
    ("spec.limits", {"backoffLimit": -1}, "spec.limits.backoffLimit", "greater than or equal to 0"),
    ("spec.limits", {"budget": "25 EUR"}, "spec.limits.budget", "unknown field"),
    ("spec.stop", "Now", "spec.stop", '"Finish"'),
    ("spec.suspend", "true", "spec.suspend", "boolean"),
    ("spec.credentials", [{"uriPrefix": "hf://"}], "spec.credentials[0].secretName", "Required"),
    ("spec.managedBy", "nobody", "spec.managedBy", "should match"),
    ("spec.pod", {"hostNetwork": True}, "spec.pod.hostNetwork", "unknown field"),
    ("spec.pod", {"labels": {"a": "b\nc"}}, "spec.pod.labels.a", "should match"),
    ("spec.pod", {"env": [{"name": "LD_PRELOAD", "value": "x"}]}, "spec.pod.env[0]", "choose another name"),
    ("spec.pod", {"env": [{"name": "a;b", "value": "x"}]}, "spec.pod.env[0].name", "should match"),
    ("spec.pod", {"tolerations": [{"operator": "Maybe"}]}, "spec.pod.tolerations[0].operator", "should match"),
]  # fmt: skip


class Server:
    def __init__(self, namespace: str) -> None:
        cluster = Cluster.current()
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
    """A namespace of its own; the CRDs of this tree, applied where there are none."""
    namespace = f"bad-specs-{uuid.uuid4().hex[:8]}"
    server = Server(namespace)
    if not server.done("get", "crd", "finetunejobs.skipjack.dev", "--ignore-not-found"):
        server.done("apply", "--server-side", "-f", str(ROOT / "crds/"))
        server.done("wait", "--for=condition=Established", "crd/finetunejobs.skipjack.dev", "--timeout=60s")
    server.done("create", "namespace", namespace)
    yield server
    server.done("delete", "namespace", namespace, "--wait=false")


def test_the_cluster_judges_by_the_schemas_of_this_tree(server: Server) -> None:
    for path in (ROOT / "crds").glob("*.yaml"):
        ours = yaml.safe_load(path.read_text())
        live = json.loads(server.done("get", "crd", ours["metadata"]["name"], "-o", "json"))
        assert live["spec"]["versions"][0]["schema"] == ours["spec"]["versions"][0]["schema"], f"apply {path.name}"


@pytest.mark.parametrize(("path", "value", "field", "remedy"), BAD, ids=[f"{i}-{bad[0]}" for i, bad in enumerate(BAD)])
def test_a_bad_spec_is_refused_by_field_and_remedy(
    server: Server, path: str, value: Any, field: str, remedy: str
) -> None:
    said = server.refused("create", "--dry-run=server", "--validate=strict", "-f", "-", body=changed(path, value))
    assert field in said
    assert remedy in said


def test_the_small_job_and_the_example_are_accepted(server: Server) -> None:
    server.done("create", "--dry-run=server", "--validate=strict", "-f", "-", body=SMALL)
    server.done("create", "--dry-run=server", "--validate=strict", "-f", str(ROOT / "examples/chat-lora.yaml"))


CHANGES: dict[str, Any] = {
    "model": "hf://org/other", "task": "Chat", "dataset": {"packing": True}, "method": {"type": "Full"},
    "hyperparameters": {"seed": 1}, "evaluation": {"everySteps": 5}, "checkpoint": {"keep": 5}, "compute": {"nodes": 2},
    "output": {"ifExists": "Replace"}, "credentials": [], "serviceAccountName": "other", "pod": {"env": []},
}  # fmt: skip


def patch(server: Server, name: str, **spec: Any) -> tuple[int, str]:
    return server("patch", "ftj", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def test_what_an_attempt_started_with_stays(server: Server) -> None:
    server.done("create", "-f", "-", body=changed("metadata.name", "started"))
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
    server.done("create", "-f", "-", body=changed("metadata.name", "stopped"))
    assert patch(server, "stopped", stop="Finish")[0] == 0
    for taken_back in (None, "Cancel"):
        code, said = patch(server, "stopped", stop=taken_back)
        assert code != 0
        assert "spec.stop is one way" in said
    for other in (None, "example.com/other"):
        code, said = patch(server, "stopped", managedBy=other)
        assert code != 0
        assert "spec.managedBy can't be changed" in said


def test_explain_is_the_reference(server: Server) -> None:
    said = server.done("explain", "ftj.spec", "--recursive")
    assert "learningRate" in said
    assert "Peak learning rate" in server.done("explain", "ftj.spec.hyperparameters.learningRate")
