"""Jobs of the end-to-end tests: a tiny model of the hub, sums to learn, a claim for the result."""

from __future__ import annotations

import json
from typing import Any

from tests.support.kubectl import Kubectl, is_true

ROWS = [{"prompt": f"{n} and {n} are", "completion": f" {n + n}"} for n in range(24)]


def job(name: str = "sums", **changes: Any) -> dict[str, Any]:
    usual: dict[str, Any] = {
        "model": "hf://skipjack-test/tiny-llama",
        "dataset": {"train": [{"uri": "configmap://sums/train.jsonl"}], "validationSplit": "4"},
        "hyperparameters": {"maxSteps": 12, "globalBatchSize": 4},
        "output": {"uri": "pvc://models/sums"},
    }
    kind = {"apiVersion": "skipjack.dev/v1alpha1", "kind": "FineTuneJob", "metadata": {"name": name}}
    return kind | {"spec": usual | changes}


def bring(kubectl: Kubectl) -> None:
    """The data and the claim."""
    rows(kubectl, "sums", [json.dumps(row) for row in ROWS])
    claim(kubectl)


def rows(kubectl: Kubectl, configmap: str, lines: list[str]) -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": configmap}}
    kubectl.apply(kind | {"data": {"train.jsonl": "\n".join(lines)}})


def claim(kubectl: Kubectl, name: str = "models", mode: str = "ReadWriteOnce") -> None:
    spec = {"accessModes": [mode], "resources": {"requests": {"storage": "1Gi"}}}
    kubectl.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})


def ended(kubectl: Kubectl, name: str = "sums") -> dict[str, Any]:
    return kubectl.until("ftj", name, lambda seen: is_true("Complete")(seen) or is_true("Failed")(seen))
