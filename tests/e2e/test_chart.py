"""The chart's life on the real cluster, with jobs in it: tested, upgraded, uninstalled, installed again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster import Cluster
from tests.support.install import NAMESPACE, helm, install
from tests.support.kubectl import Kubectl, condition, is_true

from .jobs import bring, ended, job

pytestmark = pytest.mark.cluster
RELEASE = ("skipjack", "--namespace", NAMESPACE)


@pytest.fixture
def site(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl where the operator is; whatever a test did to the release and its catalogue, it is undone afterwards."""
    made = Kubectl.of(cluster, NAMESPACE)
    described = made.get("nodetype", "cpu")["spec"].get("description")
    yield made
    install(cluster)
    describe(made, described)


def describe(site: Kubectl, description: str | None) -> None:
    site("patch", "nodetype", "cpu", "--type=merge", "-p", json.dumps({"spec": {"description": description}}))


def training(kubectl: Kubectl, name: str) -> tuple[str, dict[str, Any]]:
    """A job that is at work and would be for hours: its pod's uid, and all that was resolved."""
    endless = {"maxSteps": 1_000_000, "globalBatchSize": 4}
    kubectl.apply(job(name, hyperparameters=endless, output={"uri": f"pvc://models/{name}"}))
    seen = kubectl.until("ftj", name, lambda seen: seen.get("status", {}).get("progress", {}).get("step", 0) > 0, 180)
    return pod_uid(kubectl, name), seen["status"]["resolved"]


def finished(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """The job, once it was asked to finish and did."""
    assert is_true("Running")(kubectl.get("ftj", name)), "it ended before it was asked to: this tests nothing"
    kubectl("patch", "ftj", name, "--type=merge", "-p", '{"spec":{"stop":"Finish"}}')
    seen = ended(kubectl, name)
    assert is_true("Complete")(seen), condition(seen, "Failed")
    return seen


def pod_uid(kubectl: Kubectl, name: str) -> str:
    [pod] = kubectl.list("pods", f"skipjack.dev/job={name}")
    return str(pod["metadata"]["uid"])


def operators(site: Kubectl) -> set[str]:
    """Uids of those that are not on their way out."""
    pods = site.list("pods", "app.kubernetes.io/component=operator")
    return {pod["metadata"]["uid"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


def test_an_installation_passes_its_own_test(cluster: Cluster) -> None:
    assert "Phase:          Succeeded" in helm(cluster, "test", *RELEASE, "--timeout", "3m")


def test_editors_of_a_namespace_create_jobs_and_viewers_read_them(kubectl: Kubectl) -> None:
    for role in ("edit", "view"):
        kubectl("create", "rolebinding", role, f"--clusterrole={role}", f"--user=jo-{role}")
    asked = [("create", "finetunejobs"), ("list", "finetunejobs"), ("list", "nodetypes"), ("create", "nodetypes")]
    rights = {user: [may(kubectl, user, *what) for what in asked] for user in ("jo-edit", "jo-view", "jo")}
    assert rights == {
        "jo-edit": [True, True, True, False],
        "jo-view": [False, True, True, False],
        "jo": [False, False, True, False],
    }


def may(kubectl: Kubectl, user: str, verb: str, kind: str) -> bool:
    spec = {"user": user, "groups": ["system:authenticated"]}
    about = {"namespace": kubectl.namespace, "group": "skipjack.dev", "resource": kind, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": spec | {"resourceAttributes": about},
    }
    return bool(json.loads(kubectl("create", "-f", "-", "-o", "json", stdin=json.dumps(review)))["status"]["allowed"])


def test_an_upgrade_while_a_job_trains_changes_nothing_of_it(kubectl: Kubectl, cluster: Cluster, site: Kubectl) -> None:
    bring(kubectl)
    pod, resolved = training(kubectl, "sums")
    before = operators(site)
    describe(site, "edited by hand")
    install(cluster, "--set", "logLevel=DEBUG", "--set", "catalogue.nodeTypes.cpu.description=from the chart")
    assert not before & operators(site), "the operator was not replaced: this tests nothing"
    assert site.get("nodetype", "cpu")["spec"]["description"] == "edited by hand"
    seen = finished(kubectl, "sums")
    assert pod_uid(kubectl, "sums") == pod
    assert seen["status"]["attempt"]["number"] == 1
    assert seen["status"]["resolved"] == resolved


def test_uninstalling_keeps_jobs_and_results_and_installing_again_goes_on(
    kubectl: Kubectl, cluster: Cluster, site: Kubectl
) -> None:
    bring(kubectl)
    kubectl.apply(job("early", output={"uri": "pvc://models/early"}))
    digest = ended(kubectl, "early")["status"]["output"]["digest"]
    pod, resolved = training(kubectl, "late")
    helm(cluster, "uninstall", *RELEASE, "--wait", "--timeout", "3m")
    assert site.list("deployments") == []
    assert {crd["metadata"]["name"] for crd in site.list("crds") if crd["spec"]["group"] == "skipjack.dev"} == {
        "finetunejobs.skipjack.dev", "nodetypes.skipjack.dev", "basemodels.skipjack.dev",
    }  # fmt: skip
    assert kubectl.get("ftj", "early")["status"]["output"]["digest"] == digest
    assert pod_uid(kubectl, "late") == pod
    install(cluster)
    seen = finished(kubectl, "late")
    assert pod_uid(kubectl, "late") == pod
    assert seen["status"]["resolved"] == resolved
    assert kubectl.get("ftj", "early")["status"]["output"]["digest"] == digest
