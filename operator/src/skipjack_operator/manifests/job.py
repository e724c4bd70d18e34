"""One attempt: an Indexed Job that is a gang. Whatever pod is lost, the Job fails whole, and the operator starts the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from skipjack.api.v1alpha1 import FineTuneJobSpec, NodeTypeSpec
from skipjack.protocol import ATTEMPT_LABEL, JOB_LABEL, JOB_UID_LABEL, MANAGED_BY, MANAGED_BY_LABEL, SPEC_ANNOTATION
from skipjack.resolve import ResolvedSpec

from .pod import PodEnvironment, pod_spec


def attempt_name(job: str, attempt: int) -> str:
    return f"{job}-{attempt}"


def labels(spec: ResolvedSpec, attempt: int) -> dict[str, str]:
    return {
        MANAGED_BY_LABEL: MANAGED_BY,
        JOB_LABEL: spec.job_name,
        JOB_UID_LABEL: spec.job_uid,
        ATTEMPT_LABEL: str(attempt),
    }


def owner(spec: ResolvedSpec, api_version: str) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": "FineTuneJob",
        "name": spec.job_name,
        "uid": spec.job_uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def job_manifest(
    own: FineTuneJobSpec,
    spec: ResolvedSpec,
    kind: NodeTypeSpec,
    attempt: int,
    site: PodEnvironment,
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    """The batch/v1 Job of an attempt; `annotations` are the Job's own, its pods don't have them."""
    name = attempt_name(spec.job_name, attempt)
    nodes = spec.compute.nodes
    ours = labels(spec, attempt)
    settings = own.pod
    pod = pod_spec(own, spec, kind, attempt, f"{name}-0.{name}" if nodes > 1 else "localhost", site)
    if nodes > 1:
        pod["subdomain"] = name
        pod["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {JOB_UID_LABEL: spec.job_uid, ATTEMPT_LABEL: str(attempt)}},
            }
        ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": spec.namespace,
            "labels": ours,
            "annotations": dict(annotations),
            "ownerReferences": [owner(spec, "skipjack.dev/v1alpha1")],
        },
        "spec": {
            "completionMode": "Indexed",
            "completions": nodes,
            "parallelism": nodes,
            "backoffLimit": 0,
            "template": {
                "metadata": {
                    "labels": ((settings and settings.labels) or {}) | ours,
                    "annotations": ((settings and settings.annotations) or {})
                    | {SPEC_ANNOTATION: spec.model_dump_json()},
                },
                "spec": pod,
            },
        },
    }
