"""The CRDs are what the models say, and what a structural schema can hold."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field, StringConstraints

from skipjack.api.crd import ALLOWED, Unstructural, crds, structural
from skipjack.api.v1alpha1.common import APIModel, Word

ROOT = Path(__file__).resolve().parents[3]
SCHEMAS = {crd["spec"]["names"]["kind"]: crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for crd in crds()}


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in node:
            yield from nodes(node[name], f"{path}.{name}")


SAID = [found for kind, schema in SCHEMAS.items() for block in ("spec", "status") if block in schema["properties"]
        for found in nodes(schema["properties"][block], f"{kind}.{block}")]  # fmt: skip


def test_the_generated_files_are_up_to_date() -> None:
    written = runpy.run_path(str(ROOT / "crds/generate.py"))["files"]()
    stale = [str(path.relative_to(ROOT)) for path, text in written.items() if path.read_text() != text]
    assert not stale, "run `make crds`"


def test_every_keyword_is_structural() -> None:
    assert not [(path, set(node) - ALLOWED) for path, node in SAID if set(node) - ALLOWED]


def test_every_string_list_and_map_is_bounded() -> None:
    def unbounded(node: dict[str, Any]) -> bool:
        if node["type"] == "string":
            return not {"maxLength", "enum"} & set(node)
        return (node["type"] == "array" and "maxItems" not in node) or (
            "additionalProperties" in node and "maxProperties" not in node
        )

    assert not [path for path, node in SAID if unbounded(node)]


def test_every_field_of_spec_and_status_is_described() -> None:
    silent = [
        f"{path}.{name}"
        for path, node in SAID
        for name, child in node.get("properties", {}).items()
        if not child.get("description")
    ]
    assert not silent


def test_rules_on_a_maps_keys_are_rules_on_the_map() -> None:
    labels = SCHEMAS["FineTuneJob"]["properties"]["spec"]["properties"]["pod"]["properties"]["labels"]
    assert all(
        rule["rule"].startswith("self.all(key, ") and "self." not in rule["rule"][9:]
        for rule in labels["x-kubernetes-validations"]
    )
    assert any("choose another key" in rule["message"] for rule in labels["x-kubernetes-validations"])


def test_no_message_is_longer_than_the_api_server_takes() -> None:
    rules = [rule for _, node in SAID for rule in node.get("x-kubernetes-validations", ())]
    assert len(rules) > 50
    assert all(len(rule["message"]) <= 2048 and "\n" not in rule["message"] for rule in rules)


def test_lists_of_conditions_and_resolved_values_are_maps() -> None:
    status = SCHEMAS["FineTuneJob"]["properties"]["status"]["properties"]
    keys = {name: status[name]["x-kubernetes-list-map-keys"] for name in ("conditions", "resolved")}
    assert keys == {"conditions": ["type"], "resolved": ["field"]}


class Unbounded(APIModel):
    words: list[Word] = Field(description="As many as one likes.")


class Union(APIModel):
    either: Word | Annotated[int, Field(ge=0)] = Field(description="A word or a number.")


class Foreign(APIModel):
    even: int = Field(multiple_of=2, description="A keyword that is not allowed.")


Bare = Annotated[str, StringConstraints(max_length=9, pattern="^[a-z]+$")]


class Speechless(APIModel):
    word: Bare = Field(description="A pattern that nobody is told of in words.")


class SpeechlessKeys(APIModel):
    words: dict[Bare, Word] = Field(max_length=4, description="The same in a map's keys.")


class UnboundedKeys(APIModel):
    words: dict[str, Word] = Field(description="As many as one likes.")


class UnboundedText(APIModel):
    text: str = Field(description="As long as one likes.")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Unbounded, "words: an array without a bound"),
        (UnboundedKeys, "words: an object without a bound"),
        (UnboundedText, "text: a string without a bound"),
        (Union, "union of 2"),
        (Foreign, "multipleOf"),
        (Speechless, "word: a pattern without a sentence"),
        (SpeechlessKeys, "words: a pattern of its keys without a sentence"),
    ],
)
def test_what_a_structural_schema_refuses_fails_the_generator(model: type[APIModel], said: str) -> None:
    with pytest.raises(Unstructural, match=said):
        structural(model)
