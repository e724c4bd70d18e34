"""Models are kept on a claim of the job's own namespace, and nowhere that it wasn't set up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.builders import catalogue, node_type, spec

from skipjack.protocol import ENV_MODEL_CACHE_BYTES, MODEL_CACHE_PATH
from skipjack.resolve import resolve_spec
from skipjack_operator.manifests import PodEnvironment, job_manifest
from skipjack_operator.settings import Settings

SITE = PodEnvironment(
    image="trainer:1",
    progress_url="http://operator:8080",
    model_caches={"team-a": "kept"},
    model_cache_bytes=5 * 2**30,
)


def pod_in(namespace: str, site: PodEnvironment = SITE, **changes: Any) -> dict[str, Any]:
    own, kind = spec(**changes), node_type(default=True)
    told = resolve_spec(own, "job", namespace, "uid-1", catalogue(kind))
    pod: dict[str, Any] = job_manifest(own, told, kind.spec, 1, site, {})["spec"]["template"]["spec"]
    return pod


def mounts_of(pod: dict[str, Any], claim: str) -> dict[str, bool]:
    """Path → whether it is only read, of all mounts of the claim, which is one volume."""
    claims = [volume for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
    (volume,) = [volume for volume in claims if volume["persistentVolumeClaim"]["claimName"] == claim]
    mounts = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == volume["name"]]
    assert not volume["persistentVolumeClaim"]["readOnly"]
    return {mount["mountPath"]: mount.get("readOnly", False) for mount in mounts}


def test_a_pod_has_its_namespaces_claim_and_is_told_how_much_it_may_take() -> None:
    pod = pod_in("team-a")
    assert mounts_of(pod, "kept") == {MODEL_CACHE_PATH: False}
    variables = {variable["name"]: variable.get("value") for variable in pod["containers"][0]["env"]}
    assert variables[ENV_MODEL_CACHE_BYTES] == str(5 * 2**30)


def test_in_a_namespace_without_one_nothing_is_different() -> None:
    assert pod_in("team-b") == pod_in("team-b", replace(SITE, model_caches={}))


def test_a_claim_that_data_come_from_as_well_is_one_volume_and_the_data_stay_read_only() -> None:
    pod = pod_in("team-a", dataset={"train": [{"uri": "pvc://kept/rows.jsonl"}]})
    assert mounts_of(pod, "kept") == {MODEL_CACHE_PATH: False, "/mnt/claims/kept": True}


def test_the_operator_is_told_by_its_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "SKIPJACK_TRAINER_IMAGE": "trainer:1",
        "SKIPJACK_PROGRESS_URL": "http://operator:8080",
        "SKIPJACK_MODEL_CACHES": "team-a=models,team-b=shared",
        "SKIPJACK_MODEL_CACHE_SIZE": "1.5Ti",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    pods = Settings.from_environment().pods
    assert pods.model_caches == {"team-a": "models", "team-b": "shared"}
    assert pods.model_cache_bytes == 3 * 2**39
