"""Seeding and reading the catalogues."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from skipjack_operator import catalogue
from skipjack_operator.client import BASE_MODELS, NODE_TYPES, Kube, NotServed

from .apiserver import APIServer, answers, status

GOOD = """
nodeTypes:
- name: cpu
  spec: {default: true, cpu: 500m, memory: 4Gi, precisions: [FP32]}
- name: big
  spec: {cpu: "8", memory: 32Gi, precisions: [FP32, BF16]}
baseModels:
- name: phi-3-mini
  spec: {uri: "hf://org/phi@main", contextLength: 4096}
"""


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "catalogue.yaml"
    path.write_text(dedent(text), encoding="utf-8")
    return path


async def test_what_is_seeded_is_what_is_read(kube: Kube, tmp_path: Path) -> None:
    assert await catalogue.seed(kube, file(tmp_path, GOOD)) == ()
    live = await catalogue.load(kube)
    assert sorted(t.name for t in live.node_types) == ["big", "cpu"]
    assert live.node_type(None)[0].spec.cpu == "500m"
    assert live.base_model("phi-3-mini").spec.context_length == 4096


async def test_an_edited_entry_is_never_overwritten(server: APIServer, kube: Kube, tmp_path: Path) -> None:
    edited = server.add(NODE_TYPES, None, "cpu", spec={"cpu": "3", "memory": "1Gi", "precisions": ["FP32"]})
    assert await catalogue.seed(kube, file(tmp_path, GOOD)) == ()
    assert server.objects[NODE_TYPES.path(None, "cpu")] == edited
    assert server.count("PATCH") == 0


async def test_a_broken_entry_is_named_and_the_others_are_created(
    server: APIServer, kube: Kube, tmp_path: Path
) -> None:
    broken = GOOD + "- name: none\n  spec: {uri: ftp://x, size: 3}\n- {spec: {}}\n- just words\n"
    refused = [str(r) for r in await catalogue.seed(kube, file(tmp_path, broken))]
    assert len(refused) == 3
    assert refused[0].startswith("catalogue.yaml: baseModels[1] (none): ")
    assert "spec.uri: " in refused[0]
    assert "spec.size: " in refused[0]
    assert "baseModels[2]: name: " in refused[1]
    assert sum("/nodetypes/" in p or "/basemodels/" in p for p in server.objects) == 3


@pytest.mark.parametrize("text", ["a: [", "- 1", "nodeTypes: 3", "nodeType: []", "'x'"])
async def test_a_file_that_makes_no_sense_is_refused(kube: Kube, tmp_path: Path, text: str) -> None:
    assert len(await catalogue.seed(kube, file(tmp_path, text))) == 1


@pytest.mark.parametrize("text", ["", "nodeTypes:\n", "nodeTypes: []\nbaseModels: []\n"])
async def test_an_empty_file_is_fine(kube: Kube, tmp_path: Path, text: str) -> None:
    assert await catalogue.seed(kube, file(tmp_path, text)) == ()
    assert await catalogue.seed(kube, tmp_path / "absent.yaml") == ()


async def test_what_the_api_server_refuses_stops_nothing(server: APIServer, kube: Kube, tmp_path: Path) -> None:
    server.faults.append(answers(lambda: status(422, "Invalid", "spec.cpu: too odd")))
    refused = await catalogue.seed(kube, file(tmp_path, GOOD))
    assert [str(r) for r in refused] == ["catalogue.yaml: NodeType cpu: the API server refuses it: spec.cpu: too odd"]
    assert BASE_MODELS.path(None, "phi-3-mini") in server.objects


async def test_absent_crds_are_not_an_empty_catalogue(server: APIServer, kube: Kube) -> None:
    server.faults.append(answers(lambda: status(404, "NotFound")))
    with pytest.raises(NotServed):
        await catalogue.load(kube)


async def test_an_invalid_live_object_is_left_out_with_a_reason(
    server: APIServer, kube: Kube, caplog: pytest.LogCaptureFixture
) -> None:
    server.add(NODE_TYPES, None, "odd", spec={"cpu": "lots"})
    server.add(NODE_TYPES, None, "fine", spec={"cpu": "1", "memory": "1Gi", "precisions": ["FP32"]})
    assert [t.name for t in (await catalogue.load(kube)).node_types] == ["fine"]
    assert "NodeType (odd): spec.cpu: " in caplog.text


async def test_the_shelf_is_read_again_when_it_changed_and_when_it_is_old(server: APIServer, kube: Kube) -> None:
    now = [0.0]
    shelf = catalogue.Shelf(kube, lambda: now[0])
    server.add(NODE_TYPES, None, "one", spec={"cpu": "1", "memory": "1Gi", "precisions": ["FP32"]})
    assert len((await shelf.catalogue()).node_types) == 1
    server.add(NODE_TYPES, None, "two", spec={"cpu": "1", "memory": "1Gi", "precisions": ["FP32"]})
    assert len((await shelf.catalogue()).node_types) == 1
    shelf.changed()
    assert len((await shelf.catalogue()).node_types) == 2
    server.add(NODE_TYPES, None, "three", spec={"cpu": "1", "memory": "1Gi", "precisions": ["FP32"]})
    now[0] += catalogue.FRESH_SECONDS
    assert len((await shelf.catalogue()).node_types) == 3


async def test_a_shelf_that_could_not_be_read_is_not_taken_for_fresh(server: APIServer, kube: Kube) -> None:
    shelf = catalogue.Shelf(kube)
    server.faults.append(answers(lambda: status(404, "NotFound")))
    with pytest.raises(NotServed):
        await shelf.catalogue()
    server.add(NODE_TYPES, None, "one", spec={"cpu": "1", "memory": "1Gi", "precisions": ["FP32"]})
    assert len((await shelf.catalogue()).node_types) == 1
