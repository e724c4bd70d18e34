"""The chart as Helm renders it, for several kinds of site."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster import Cluster

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/skipjack"
SITES: dict[str, list[str]] = {
    "defaults": [],
    "namespaces": ["watchNamespaces={team-a,team-b}"],
    "mirror": ["hub.endpoint=http://hub:8090", "proxy.http=http://p:3128", "caConfigMap=ca", "imagePullSecrets={s}"],
    "monitored": ["monitoring.serviceMonitor=true", "monitoring.prometheusRule=true", "priorityClassName=high"],
    "own account": ["serviceAccount.create=false", "serviceAccount.name=mine", f"image.digest=sha256:{'a' * 64}"],
    "bare": ["podDisruptionBudget.enabled=false", "networkPolicy.enabled=false", "crds.enabled=false"],
}


@pytest.fixture(scope="session")
def helm() -> str:
    """HELM, PATH, or the cluster's. Fails where there is none: a chart that nobody rendered is not tested."""
    return os.environ.get("HELM") or shutil.which("helm") or str(Cluster.current().helm)


def render(helm: str, *values: str) -> list[dict[str, Any]]:
    sets = [word for value in values for word in ("--set", value)]
    command = [helm, "template", "skipjack", str(CHART), "--namespace", "system", *sets]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


@pytest.mark.parametrize("site", SITES)
def test_every_site_lints_and_renders(helm: str, site: str) -> None:
    sets = [word for value in SITES[site] for word in ("--set", value)]
    done = subprocess.run([helm, "lint", "--strict", str(CHART), *sets], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    documents = render(helm, *SITES[site])
    names = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
    assert len(names) == len(set(names))


def test_the_charts_crds_are_those_of_the_folder(helm: str) -> None:
    rendered = {crd["metadata"]["name"]: crd for crd in of(render(helm), "CustomResourceDefinition")}
    written = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert {name: crd["spec"] for name, crd in rendered.items()} == {c["metadata"]["name"]: c["spec"] for c in written}
    assert all(c["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for c in rendered.values())
    loose = of(render(helm, "crds.keep=false"), "CustomResourceDefinition")
    assert not any("helm.sh/resource-policy" in c["metadata"]["annotations"] for c in loose)


def test_named_namespaces_leave_no_rights_on_jobs_elsewhere(helm: str) -> None:
    documents = render(helm, *SITES["namespaces"])
    [wide] = [r for r in of(documents, "ClusterRole") if r["metadata"]["name"] == "skipjack"]
    granted = {resource for rule in wide["rules"] for resource in rule["resources"]}
    assert granted == {"nodetypes", "basemodels", "tokenreviews"}
    assert {r["metadata"].get("namespace") for r in of(documents, "Role")} == {None, "team-a", "team-b"}


def test_no_role_holds_a_wildcard_or_reads_secrets(helm: str) -> None:
    for role in [r for kind in ("ClusterRole", "Role") for r in of(render(helm), kind)]:
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            assert "secrets" not in rule["resources"]


def test_a_digest_wins_over_the_tag(helm: str) -> None:
    [deployment] = of(render(helm, *SITES["own account"], "image.tag=v9"), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"skipjack/operator@sha256:{'a' * 64}"
    assert pod["serviceAccountName"] == "mine"


def test_a_misspelt_value_is_refused(helm: str) -> None:
    command = [helm, "template", "skipjack", str(CHART), "--set", "watchNamespace=team-a"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "watchNamespace" in done.stderr
