"""One FineTuneJob's world as raw objects: a test says only what matters to it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.builders import catalogue

from skipjack.protocol import ATTEMPT_LABEL, CHARGED_ANNOTATION, Result
from skipjack_operator.decide import Observed
from skipjack_operator.manifests import PodEnvironment

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EARLIER = (NOW - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
LONG_AGO = (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
SITE = PodEnvironment(image="trainer:1", progress_url="http://operator:8080")


def job(
    status: dict[str, Any] | None = None, name: str = "bot", metadata: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    smallest: dict[str, Any] = {
        "model": "hf://org/model",
        "dataset": {"train": [{"uri": "configmap://data/train.jsonl"}]},
        "output": {"uri": "pvc://models/result"},
    }
    own = {"name": name, "namespace": "space", "uid": "uid-1", "generation": 1} | (metadata or {})
    return {"metadata": own, "spec": smallest | spec, "status": status or {}}


def attempt(
    number: int = 1,
    *conditions: str,
    labels: dict[str, str] | None = None,
    suspend: bool = False,
    charged: int = 0,
    created: str = EARLIER,
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"bot-{number}",
            "uid": f"job-{number}",
            "creationTimestamp": created,
            "labels": {ATTEMPT_LABEL: str(number)} | (labels or {}),
            "annotations": {CHARGED_ANNOTATION: str(charged)},
        },
        "spec": {"completions": 1, "parallelism": 1, "suspend": suspend},
        "status": {"conditions": [{"type": c, "status": "True", "lastTransitionTime": LONG_AGO} for c in conditions]},
    }


def pod(state: dict[str, Any] | None = None, phase: str = "Running", **status: Any) -> dict[str, Any]:
    container = [{"state": state}] if state else []
    return {
        "metadata": {
            "name": "bot-1-0",
            "creationTimestamp": LONG_AGO,
            "annotations": {"batch.kubernetes.io/job-completion-index": "0"},
        },
        "spec": {"nodeName": "node-1", "containers": [{"resources": {"limits": {"memory": "4Gi"}}}]},
        "status": {"phase": phase, "containerStatuses": container} | status,
    }


def ended(code: int, result: Result | None = None, reason: str = "Error", **status: Any) -> dict[str, Any]:
    message = result.encode() if result else ""
    state = {"terminated": {"exitCode": code, "reason": reason, "message": message}}
    return pod(state, "Succeeded" if code == 0 else "Failed", **status)


def seen(
    own: dict[str, Any] | None = None, attempts: tuple[Any, ...] = (), pods: tuple[Any, ...] = (), **changes: Any
) -> Observed:
    shared = {"spec": {"accessModes": ["ReadWriteOnce"]}}
    fields: dict[str, Any] = {
        "claims": {"models": shared},
        "catalogue": catalogue(),
        "site": SITE,
        "now": NOW,
    } | changes
    return Observed(own or job(), attempts, pods, **fields)


def true(kind: str) -> dict[str, Any]:
    return {
        "conditions": [{"type": kind, "status": "True", "reason": "X", "message": "", "lastTransitionTime": LONG_AGO}]
    }


def told(number: int = 1, charged: int = 0) -> dict[str, Any]:
    return {"attempt": {"number": number, "job": f"bot-{number}", "charged": charged}}
