"""Whoever comes from another tool copies from docs/coming-from.md: its jobs are accepted, and the fields that it names are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from skipjack.api.crd import crds
from skipjack.api.v1alpha1 import FineTuneJobSpec

PAGE = (Path(__file__).resolve().parents[3] / "docs/coming-from.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
JOBS = {name: re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for name, text in SECTIONS.items()}
FIELD = re.compile(r"`([a-z][A-Za-z]*(?:\[\])?(?:\.[a-z][A-Za-z]*(?:\[\])?)*)(?:: ([A-Za-z0-9]+))?`")
SPEC: dict[str, Any] = next(crd for crd in crds() if crd["spec"]["names"]["kind"] == "FineTuneJob")["spec"]["versions"][
    0
]["schema"]["openAPIV3Schema"]["properties"]["spec"]


def named(section: str) -> list[tuple[str, str]]:
    """(field, value or nothing) of the table's right side."""
    rows = (line for line in SECTIONS[section].splitlines() if line.startswith("| `"))
    return [told for line in rows for told in FIELD.findall(line.split(" | ")[1])]


def takes(field: str, value: str) -> bool:
    """Whether the spec has a field of that name, and whether that may be its value."""
    at = SPEC
    for step in field.split("."):
        at = at.get("properties", {}).get(step.removesuffix("[]"), {})
        at = at.get("items", {}) if step.endswith("[]") else at
    return bool(at) and (not value or value in at.get("enum", [value]))


def test_each_tool_has_a_job_and_a_table() -> None:
    assert list(SECTIONS) == ["OpenAI", "Axolotl", "LLaMA-Factory", "TRL", "KAITO", "Kubeflow Trainer"]
    assert {name: len(jobs) for name, jobs in JOBS.items()} == dict.fromkeys(SECTIONS, 1)
    assert all(len(named(section)) > 5 for section in SECTIONS)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_job_is_accepted_as_it_stands(name: str) -> None:
    job = yaml.safe_load(JOBS[name][0])
    assert (job["apiVersion"], job["kind"]) == ("skipjack.dev/v1alpha1", "FineTuneJob")
    FineTuneJobSpec.model_validate(job["spec"])


@pytest.mark.parametrize("section", SECTIONS)
def test_the_fields_that_a_table_names_are_there_and_take_its_values(section: str) -> None:
    assert [told for told in named(section) if not takes(*told)] == []


@pytest.mark.parametrize(
    ("field", "value"), [("method.lora.rnk", ""), ("method.type", "qlora"), ("dataset.train[].path", "")]
)
def test_a_field_or_a_value_that_is_not_there_would_be_noticed(field: str, value: str) -> None:
    assert not takes(field, value)
