"""Where a job's result and its checkpoints go, as its pod has it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import catalogue, node_type, spec

from skipjack.protocol import ENV_PLAIN_REGISTRIES
from skipjack.resolve import ResolvedSpec, resolve_spec
from skipjack_operator.manifests import PodEnvironment, job_manifest

SITE = PodEnvironment(image="trainer:1", progress_url="http://operator:8080")


def resolved(**changes: Any) -> ResolvedSpec:
    return resolve_spec(spec(**changes), "job", "team", "uid-1", catalogue(node_type(default=True)))


def pod(site: PodEnvironment = SITE, **changes: Any) -> dict[str, Any]:
    kind = node_type(default=True).spec
    made: dict[str, Any] = job_manifest(spec(**changes), resolved(**changes), kind, 1, site, {})
    found: dict[str, Any] = made["spec"]["template"]["spec"]
    return found


def claims(made: dict[str, Any]) -> dict[str, bool]:
    """Claim → whether it is only read."""
    volumes = [v["persistentVolumeClaim"] for v in made["volumes"] if "persistentVolumeClaim" in v]
    return {volume["claimName"]: volume["readOnly"] for volume in volumes}


def test_checkpoints_lie_beside_the_result_unless_it_is_said_otherwise() -> None:
    beside = resolved(output={"uri": "pvc://models/bot/"})
    assert (beside.checkpoint.uri, beside.origins["checkpoint.uri"]) == ("pvc://models/bot", "beside the result")
    elsewhere = resolved(output={"uri": "pvc://models/bot"}, checkpoint={"uri": "s3://work/bot/"})
    assert (elsewhere.checkpoint.uri, elsewhere.origins["checkpoint.uri"]) == ("s3://work/bot", "spec")


@pytest.mark.parametrize("uri", ["oci://ghcr.io/org/bot:v1", "hf://org/bot@tuned"])
def test_of_a_pushed_result_only_the_checkpoints_claim_is_mounted_and_written(uri: str) -> None:
    made = pod(output={"uri": uri}, checkpoint={"uri": "pvc://work/bot"}, model="pvc://models/base")
    assert claims(made) == {"models": True, "work": False}


def test_result_and_checkpoints_on_two_claims_are_both_written() -> None:
    made = pod(output={"uri": "pvc://models/bot"}, checkpoint={"uri": "pvc://work/bot"})
    assert claims(made) == {"models": False, "work": False}


def test_registries_without_tls_are_told_to_trainers_where_the_platform_names_some() -> None:
    def told(site: PodEnvironment) -> list[str]:
        return [v["value"] for v in pod(site)["containers"][0]["env"] if v["name"] == ENV_PLAIN_REGISTRIES]

    registries = ("registry.local:5000", "10.0.0.1:5000")
    named = PodEnvironment("trainer:1", "http://operator:8080", plain_registries=registries)
    assert (told(SITE), told(named)) == ([], ["registry.local:5000,10.0.0.1:5000"])
