"""What the chart renders, for several kinds of site."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
import yaml
from tests.property.pod_security import offences

from .rendered import CHART, ROOT, SITES, helm_program, named, of, render, template

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("site", SITES)
def test_every_site_lints_and_renders(site: str) -> None:
    sets = [word for value in SITES[site] for word in ("--set", value)]
    lint = [helm_program(), "lint", "--strict", str(CHART), *sets]
    done = subprocess.run(lint, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    documents = render(*SITES[site])
    names = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("site", SITES)
def test_every_pod_is_one_that_restricted_accepts_and_has_limits(site: str) -> None:
    documents = render(*SITES[site])
    pods = [d["spec"]["template"]["spec"] for d in of(documents, "Deployment")] + [
        d["spec"] for d in of(documents, "Pod")
    ]
    assert len(pods) == 2
    for pod in pods:
        assert offences(pod) == []
        assert all(
            set(c["resources"]) == {"requests", "limits"} and c["securityContext"]["readOnlyRootFilesystem"]
            for c in pod["containers"]
        )


def test_the_charts_crds_are_those_of_the_folder() -> None:
    rendered = {crd["metadata"]["name"]: crd for crd in of(render(), "CustomResourceDefinition")}
    written = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert {name: crd["spec"] for name, crd in rendered.items()} == {c["metadata"]["name"]: c["spec"] for c in written}
    assert all(c["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for c in rendered.values())
    loose = of(render("crds.keep=false"), "CustomResourceDefinition")
    assert not any("helm.sh/resource-policy" in c["metadata"]["annotations"] for c in loose)


def test_named_namespaces_leave_no_rights_on_jobs_elsewhere() -> None:
    documents = render(*SITES["namespaces"])
    granted = {
        resource for rule in named(documents, "ClusterRole", "skipjack")["rules"] for resource in rule["resources"]
    }
    assert granted == {"nodetypes", "basemodels", "tokenreviews"}
    assert {r["metadata"].get("namespace") for r in of(documents, "Role")} == {None, "team-a", "team-b"}


def test_no_role_holds_a_wildcard_or_reads_secrets_and_one_lease_alone_is_written() -> None:
    documents = render()
    for rule in [rule for kind in ("ClusterRole", "Role") for role in of(documents, kind) for rule in role["rules"]]:
        assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
        assert not {"secrets", "configmaps"} & set(rule["resources"])
        if "leases" in rule["resources"] and rule["verbs"] != ["create"]:
            assert rule["resourceNames"] == ["skipjack-operator"]


def test_why_pods_are_not_created_can_be_read() -> None:
    rules = named(render(), "ClusterRole", "skipjack")["rules"]
    assert {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "list"]} in rules


def test_everybody_may_read_the_catalogues_unless_told_otherwise() -> None:
    binding = named(render(), "ClusterRoleBinding", "skipjack-catalogue-view")
    assert [subject["name"] for subject in binding["subjects"]] == ["system:authenticated"]
    bare = render(*SITES["bare"])
    assert [b["metadata"]["name"] for b in of(bare, "ClusterRoleBinding")] == ["skipjack"]
    assert not any("aggregate" in label for role in of(bare, "ClusterRole") for label in role["metadata"]["labels"])


def test_a_digest_wins_over_the_tag() -> None:
    [deployment] = of(render(*SITES["own account"], "image.tag=v9"), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == f"skipjack/operator@sha256:{'a' * 64}"
    assert pod["serviceAccountName"] == "mine"


def test_a_single_replica_has_no_disruption_budget() -> None:
    assert len(of(render(), "PodDisruptionBudget")) == 1
    assert of(render("replicas=1"), "PodDisruptionBudget") == []


def test_a_proxy_is_never_asked_for_what_is_inside_the_cluster() -> None:
    def told(*values: str) -> dict[str, str]:
        [deployment] = of(render(*values), "Deployment")
        env = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        return {variable["name"]: variable.get("value", "") for variable in env}

    assert "NO_PROXY" not in told()
    with_proxy = told("proxy.https=http://p:3128", "proxy.none=.example.com")
    assert with_proxy["HTTPS_PROXY"] == "http://p:3128"
    assert with_proxy["NO_PROXY"] == "localhost,127.0.0.1,.svc,.cluster.local,.example.com"


def test_a_change_of_the_catalogue_restarts_the_operator_that_seeds_it() -> None:
    def stamp(*values: str) -> str:
        [deployment] = of(render(*values), "Deployment")
        return str(deployment["spec"]["template"]["metadata"]["annotations"]["skipjack.dev/catalogue"])

    assert stamp() == stamp("replicas=1") != stamp("catalogue.nodeTypes.cpu.cpu=1")


@pytest.mark.parametrize(
    ("value", "named_in_refusal"),
    [("watchNamespace=team-a", "watchNamespace"), ("replicas=0", "replicas"), ("logLevel=LOUD", "logLevel"),
     ("image.digest=sha256:1", "digest"), ("hub.endpoint=hub", "endpoint"), ("proxy.http=p:3128", "proxy/http"),
     ("monitoring.rules=true", "rules"), ("networkPolicy.apiServerPorts={}", "apiServerPorts"), ("crds.kept=true", "kept"),
     ("trainer.image.pullPolicy=Always", "pullPolicy"),
     ("catalogue.nodeTypes.My_Type.cpu=1", "My_Type")],
)  # fmt: skip
def test_a_value_that_is_misspelt_or_wrong_is_refused_by_name(value: str, named_in_refusal: str) -> None:
    done = template(value)
    assert done.returncode != 0
    assert named_in_refusal in done.stderr


def keys(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> list[str]:
    """The paths of `values` that the schema does not know by name."""
    known = schema.get("properties", {})
    if not known:
        return []
    unknown = [f"{path}{key}" for key in values if key not in known]
    inner = [(key, value) for key, value in values.items() if isinstance(value, dict) and key in known]
    return unknown + [found for key, value in inner for found in keys(value, known[key], f"{path}{key}.")]


def test_the_schema_knows_every_value_and_every_value_is_used() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert keys(values, schema) == []
    templates = "".join(path.read_text() for path in (CHART / "templates").rglob("*") if path.is_file())
    assert [key for key in values if f".Values.{key}" not in templates] == []
