"""The rendered chart is judged by kubeconform, against the schemas that the API server publishes, and by the API server itself under
strict field validation."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster import Cluster, programs

from .rendered import SITES, render

pytestmark = pytest.mark.cluster
ELSEWHERE = ("ServiceMonitor", "PrometheusRule")
"""Kinds of an operator that is not on this cluster."""

FREE_FORM = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}


def kubectl(*arguments: str) -> list[str]:
    cluster = Cluster.current()
    return [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), "-n", "default", *arguments]


def closed(node: Any) -> Any:
    """The schema with no room for fields that it does not name."""
    if isinstance(node, list):
        return [closed(child) for child in node]
    if not isinstance(node, dict):
        return node
    made = {key: closed(child) for key, child in node.items() if key != "format" or isinstance(child, dict)}
    if isinstance(node.get("properties"), dict) and "additionalProperties" not in node:
        made["additionalProperties"] = False
    return made


def referred(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for child in node.values():
            yield from referred(child)
    if isinstance(node, list):
        for child in node:
            yield from referred(child)


def with_all_it_needs(name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A schema that stands alone: kubeconform follows no reference out of a file."""
    needed, waiting = set(), {name}
    while waiting:
        needed |= waiting
        waiting = {found for one in waiting for found in referred(definitions[one])} - needed
    return {"$ref": f"#/definitions/{name}", "definitions": {one: definitions[one] for one in needed}}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of kubeconform's: a file for each kind that the API server has."""
    folder = tmp_path_factory.mktemp("schemas")
    done = subprocess.run(
        kubectl("get", "--raw", "/openapi/v2"), capture_output=True, text=True, timeout=60, check=True
    )
    published = json.loads(done.stdout)["definitions"]
    definitions = {name: closed(node) for name, node in published.items()} | FREE_FORM
    for name, node in published.items():
        for kind in node.get("x-kubernetes-group-version-kind", ()):
            group = f"-{kind['group'].partition('.')[0]}" if kind["group"] else ""
            file = folder / f"{kind['kind']}{group}-{kind['version']}.json".lower()
            file.write_text(json.dumps(with_all_it_needs(name, definitions)))
    return folder


def conforms(documents: list[dict[str, Any]], schemas: Path) -> tuple[int, str]:
    """What kubeconform says of the documents."""
    program = programs.build("checks") / "kubeconform"
    place = f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"
    command = [program, "-strict", "-summary", "-schema-location", place, "-skip", ",".join(ELSEWHERE)]
    done = subprocess.run(
        command, input=yaml.dump_all(documents), capture_output=True, text=True, timeout=120, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("site", SITES)
def test_what_is_rendered_conforms_to_the_published_schemas(site: str, schemas: Path) -> None:
    code, said = conforms(render(*SITES[site]), schemas)
    assert code == 0, said
    assert "Invalid: 0, Errors: 0" in said


@pytest.mark.parametrize(
    "broken", [{"spec": {"replica": 2}}, {"spec": {"replicas": "two"}}, {"metadata": {"labels": ["a"]}}]
)
def test_what_does_not_conform_is_told(broken: dict[str, Any], schemas: Path) -> None:
    [deployment] = [document for document in render() if document["kind"] == "Deployment"]
    for block, change in broken.items():
        deployment[block] |= change
    code, said = conforms([deployment], schemas)
    assert code != 0
    assert next(iter(next(iter(broken.values())))) in said


@pytest.mark.parametrize("site", SITES)
def test_the_api_server_accepts_what_is_rendered(site: str) -> None:
    # No CRDs, and names and namespaces of a dry run's own: an installation of Skipjack may be there already.
    documents = [d for d in render("crds.enabled=false", *SITES[site]) if d["kind"] not in ELSEWHERE]
    for document in documents:
        document["metadata"] |= {"name": f"strict-{document['metadata']['name']}"}
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = "default"
    create = kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-")
    done = subprocess.run(
        create, input=yaml.dump_all(documents), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "deployment.apps/strict-skipjack created" in done.stdout
