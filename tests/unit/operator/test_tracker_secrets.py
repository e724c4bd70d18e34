"""What opens a tracker comes from a Secret, by the names of its keys and no others."""

from __future__ import annotations

from typing import Any

from tests.builders import catalogue, node_type, spec

from skipjack.resolve import resolve_spec
from skipjack_operator.manifests import PodEnvironment, job_manifest

SITE = PodEnvironment(image="trainer:1", progress_url="http://operator:8080")


def variables(**changes: Any) -> dict[str, dict[str, Any]]:
    own, kind = spec(**changes), node_type(default=True)
    told = resolve_spec(own, "job", "team", "uid-1", catalogue(kind))
    pod = job_manifest(own, told, kind.spec, 1, SITE, {})["spec"]["template"]["spec"]
    listed = pod["containers"][0]["env"]
    assert len({variable["name"] for variable in listed}) == len(listed)
    return {variable["name"]: variable for variable in listed}


def test_a_trackers_secret_gives_its_own_keys_and_a_pod_starts_without_it() -> None:
    mlflow = {"type": "MLflow", "uri": "http://mlflow:5000", "secretName": "tracking"}
    spare = [{"name": "MLFLOW_TRACKING_TOKEN", "value": "of the spec"}, {"name": "TZ", "value": "UTC"}]
    found = variables(integrations=[mlflow], pod={"env": spare})
    secret = {name: variable["valueFrom"] for name, variable in found.items() if "valueFrom" in variable}
    assert secret == {
        name: {"secretKeyRef": {"name": "tracking", "key": name, "optional": True}}
        for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    }
    assert found["TZ"]["value"] == "UTC"


def test_a_tracker_without_a_secret_brings_no_variable() -> None:
    assert variables(integrations=[{"type": "MLflow", "uri": "http://mlflow:5000"}]) == variables()
