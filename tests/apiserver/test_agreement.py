"""The models and the API server judge every string alike: one reads Rust's regular expressions and Python's predicates, the other RE2's
and CEL. Strings are near what is right, by a few seeded changes."""

from __future__ import annotations

import json
import random
import re
import subprocess
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from tests.cluster import Cluster
from tests.refusals import changed

from skipjack.api.v1alpha1 import BaseModelSpec, FineTuneJobSpec, NodeTypeSpec
from skipjack.api.v1alpha1.common import APIModel

pytestmark = pytest.mark.cluster
MODELS: dict[str, type[APIModel]] = {
    "FineTuneJob": FineTuneJobSpec,
    "NodeType": NodeTypeSpec,
    "BaseModel": BaseModelSpec,
}
CASES = 150
PIECES = [
    "hf://", "pvc://", "https://", "configmap://", "datasets/", "/", "//", ".", "..", "/../", "-", "--", "_", "@", "@main", ":", "*", "?", "#", "%20",
    " ", "\n", "\t", "\0", "\x85", "\u00a0", "\u2028", "ä", "ß", "A", "z", "0", "9", "a" * 60, "b" * 96, "c" * 253, "'", '"', "\\", "$(X)", "{{", "~",
    "kubernetes.io/", "requests.", "m", "k", "Ki", "T", ".5", "e3", "+", "LD_", "HF_", "TORCH_NCCL_", "PLUGIN",
]  # fmt: skip


def field(path: str, *right: str) -> tuple[str, str, tuple[str, ...]]:
    kind, _, rest = path.partition(" ")
    return kind, rest, right


FIELDS = [
    field("FineTuneJob spec.model", "hf://org/name@main", "pvc://claim/path", "phi-3-mini"),
    field(
        "FineTuneJob spec.dataset.train.0.uri",
        "hf://datasets/o/n/p.jsonl",
        "pvc://c/p.jsonl",
        "configmap://n/k.jsonl",
        "https://h/p",
    ),
    field("FineTuneJob spec.dataset.validationSplit", "5%", "200"),
    field("FineTuneJob spec.output.uri", "pvc://claim/path"),
    field("FineTuneJob spec.pod.env.0.name", "NCCL_DEBUG", "HF_HUB_ETAG_TIMEOUT", "TORCH_NCCL_BLOCKING_WAIT"),
    field("FineTuneJob spec.pod.labels", "example.com/team", "team"),
    field("FineTuneJob spec.serviceAccountName", "trainer", "a.b-c"),
    field("NodeType spec.nodeSelector.a", "NVIDIA-L4", ""),
    field("NodeType spec.cpu", "2", "500m", "0.125"),
    field("NodeType spec.memory", "16Gi", "1.5G", "1048576"),
    field("NodeType spec.accelerator.resource", "nvidia.com/gpu"),
    field("BaseModel spec.parameters", "3.8G", "135M"),
]


def near(right: tuple[str, ...], chance: random.Random) -> str:
    """One of the right strings, after up to three insertions or cuts."""
    text = chance.choice(right)
    for _ in range(chance.randint(0, 3)):
        at = chance.randint(0, len(text))
        text = text[:at] + (
            chance.choice(PIECES) + text[at:] if chance.random() < 0.7 else text[at + chance.randint(1, 4) :]
        )
    return text


def body(kind: str, path: str, text: str) -> dict[str, Any]:
    if path.endswith("labels"):
        return changed(kind, path, {text: "x"})
    made = changed(kind, path, text)
    if "env" in path:
        made["spec"]["pod"]["env"][0]["value"] = "x"
    if "accelerator" in path:
        made["spec"]["accelerator"] |= {"count": 1, "memory": "80Gi"}
    return made


def is_accepted_by_its_model(made: dict[str, Any]) -> bool:
    try:
        MODELS[made["kind"]].model_validate(made["spec"])
    except ValidationError:
        return False
    return True


def accepted_by_the_api_server(bodies: list[dict[str, Any]]) -> set[int]:
    """Places in the list of those that a dry run creates."""
    named = [made | {"metadata": {"name": f"case-{place}"}} for place, made in enumerate(bodies)]
    cluster = Cluster.current()
    kubectl = [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), "-n", "default"]
    done = subprocess.run([*kubectl, "create", "--dry-run=server", "--validate=strict", "-f", "-"], input=yaml.safe_dump_all(named),
                          capture_output=True, text=True, timeout=300, check=False)  # fmt: skip
    told = re.findall(r'"case-(\d+)" is invalid', done.stderr)
    accepted = {int(place) for place in re.findall(r"/case-(\d+) created", done.stdout)}
    assert len(set(told)) + len(accepted) == len(bodies), done.stderr[-2000:]
    return accepted


@pytest.mark.parametrize(("kind", "path", "right"), FIELDS, ids=[path for _, path, _ in FIELDS])
def test_models_and_api_server_agree_on_what_is_right(kind: str, path: str, right: tuple[str, ...]) -> None:
    chance = random.Random(path)
    texts = [*right, *(near(right, chance) for _ in range(CASES))]
    bodies = [body(kind, path, text) for text in texts]
    by_server = accepted_by_the_api_server(bodies)
    by_models = {place for place, made in enumerate(bodies) if is_accepted_by_its_model(made)}
    assert set(range(len(right))) <= by_models
    assert len(by_models) < len(texts), "nothing was refused: this tests nothing"
    assert [json.dumps(texts[place]) for place in sorted(by_server ^ by_models)] == []
