from __future__ import annotations

import pytest
from hypothesis import given, settings
from tests.builders import catalogue, gpu, node_type

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.protocol import ATTEMPT_LABEL, ENV_ATTEMPT, JOB_UID_LABEL, SPEC_ANNOTATION
from skipjack.resolve import ResolvedSpec, SpecRefused, resolve_spec
from skipjack_operator.manifests import PodEnvironment, job_manifest

from .pod_security import offences
from .specs import specs

OFFERED = catalogue(node_type(default=True), gpu())
SITE = PodEnvironment(image="trainer:1", progress_url="http://operator:8080", ca_configmap="ca")


def resolved(spec: FineTuneJobSpec) -> ResolvedSpec | None:
    """None for a refused one; any other error fails the test: resolving is total."""
    try:
        return resolve_spec(spec, "job", "space", "uid-1", OFFERED)
    except SpecRefused:
        return None


@settings(max_examples=300, deadline=None)
@given(specs)
def test_every_accepted_spec_renders_to_pods_that_restricted_accepts(spec: FineTuneJobSpec) -> None:
    whole = resolved(spec)
    if whole is None:
        return
    job = job_manifest(spec, whole, OFFERED.node_type(whole.compute.node_type)[0].spec, 3, SITE, {})
    template = job["spec"]["template"]
    assert offences(template["spec"]) == []
    assert template["spec"]["automountServiceAccountToken"] is False
    # The first process of a namespace doesn't hear SIGTERM before it has a handler: the trainer must not be the first.
    assert template["spec"]["shareProcessNamespace"] is True
    assert set(template["spec"]["containers"][0]["resources"]) == {"requests", "limits"}
    # Whatever labels and variables the job brings, ours are what they must be.
    assert template["metadata"]["labels"][JOB_UID_LABEL] == "uid-1"
    assert template["metadata"]["labels"][ATTEMPT_LABEL] == "3"
    assert ResolvedSpec.model_validate_json(template["metadata"]["annotations"][SPEC_ANNOTATION]) == whole
    told = {variable["name"]: variable.get("value") for variable in template["spec"]["containers"][0]["env"]}
    assert told[ENV_ATTEMPT] == "3"
    mounts = [mount["mountPath"] for mount in template["spec"]["containers"][0]["volumeMounts"]]
    assert len(set(mounts)) == len(mounts)


@settings(max_examples=300, deadline=None)
@given(specs)
def test_what_an_attempt_told_is_pinned_for_the_next(spec: FineTuneJobSpec) -> None:
    whole = resolved(spec)
    assert whole is None or whole.pinned(whole.told()) == whole


@pytest.mark.parametrize(
    ("change", "offence"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "root", "hostPath": {"path": "/"}}]}, "volume root: {'hostPath'}"),
        ({"containers": [{"securityContext": {"privileged": True}}]}, "privileged"),
    ],
)
def test_the_checker_tells_an_offence(change: dict[str, object], offence: str) -> None:
    assert offence in offences(change)
