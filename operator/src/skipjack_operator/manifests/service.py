"""The headless Service by which the pods of a gang find each other."""

from __future__ import annotations

from typing import Any

from skipjack.protocol import ATTEMPT_LABEL, JOB_UID_LABEL, RENDEZVOUS_PORT
from skipjack.resolve import ResolvedSpec

from .job import attempt_name, labels, owner


def service_manifest(spec: ResolvedSpec, attempt: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": attempt_name(spec.job_name, attempt),
            "namespace": spec.namespace,
            "labels": labels(spec, attempt),
            "ownerReferences": [owner(spec, "skipjack.dev/v1alpha1")],
        },
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {JOB_UID_LABEL: spec.job_uid, ATTEMPT_LABEL: str(attempt)},
            "ports": [{"name": "rendezvous", "port": RENDEZVOUS_PORT}],
        },
    }
