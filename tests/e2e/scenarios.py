"""The nine scenarios as a person would try them: an example file, its data, and what the tuned model must do that the untouched one can't."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tests.support.kubectl import Kubectl, condition, is_true

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the table in docs/scenarios.md."""

    name: str
    example: str
    """File in examples/."""
    metric: str
    """As results name it: heldout_METRIC_before and heldout_METRIC_after."""
    bar: float
    """What held-out rows must be after tuning, and are not before."""
    configmaps: Mapping[str, str] = field(default_factory=dict)
    """Name → the folder in examples/ whose files it holds."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Of the example's spec: what a small machine can't do as it stands."""

    @property
    def is_better_higher(self) -> bool:
        return self.metric != "loss"

    def passes(self, value: float) -> bool:
        return value >= self.bar if self.is_better_higher else value <= self.bar


def load(scenario: Scenario) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(what else the example's file holds, its job)."""
    read = list(yaml.safe_load_all((EXAMPLES / scenario.example).read_text()))
    job = next(manifest for manifest in read if manifest["kind"] == "FineTuneJob")
    job["spec"] |= scenario.changes
    return [manifest for manifest in read if manifest is not job], job


def train(kubectl: Kubectl, scenario: Scenario) -> dict[str, Any]:
    """The example's job at its end."""
    for name, folder in scenario.configmaps.items():
        kubectl("create", "configmap", name, f"--from-file={EXAMPLES / folder}")
    beside, job = load(scenario)
    for manifest in (*beside, job):
        kubectl.apply(manifest)
    name = job["metadata"]["name"]
    return kubectl.until("ftj", name, lambda seen: is_true("Complete")(seen) or is_true("Failed")(seen), 600)


def told(seen: dict[str, Any]) -> dict[str, float]:
    """The result's metrics. Raises AssertionError for a job that failed."""
    assert is_true("Complete")(seen), condition(seen, "Failed")
    return {name: float(value) for name, value in seen["status"]["output"]["metrics"].items()}


def resolved(seen: dict[str, Any], field_name: str) -> str:
    values = {value["field"]: value["value"] for value in seen["status"]["resolved"]}
    return str(values[field_name]).strip('"')


def stored(kubectl: Kubectl, image: str, path: str) -> bytes:
    """A file on the claim `models`, as a pod of the trainer's image reads it."""
    name = "reads-" + "".join(letter if letter.isalnum() else "-" for letter in path.lower())
    container = {
        "name": "read",
        "image": image,
        "command": ["base64", "--wrap=0", f"/models/{path}"],
        "volumeMounts": [{"name": "models", "mountPath": "/models", "readOnly": True}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "models"}}],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
    kubectl.until("pod", name, lambda seen: seen["status"].get("phase") == "Succeeded", 60)
    return base64.b64decode(kubectl("logs", name))
