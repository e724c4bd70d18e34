"""The models refuse what the API server refuses, at the same field; where the sentence is ours, in the same words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError
from tests.refusals import REFUSALS, SMALL, Refusal

from skipjack.api.crd import crds
from skipjack.api.v1alpha1 import BaseModelSpec, FineTuneJobSpec, NodeTypeSpec
from skipjack.api.v1alpha1.common import APIModel
from skipjack.api.v1alpha1.pod import EnvVar, PodSettings
from skipjack.api.v1alpha1.rules import VALIDATIONS, matches, quantity

MODELS: dict[str, type[APIModel]] = {
    "FineTuneJob": FineTuneJobSpec,
    "NodeType": NodeTypeSpec,
    "BaseModel": BaseModelSpec,
}
OF_SPECS = [refusal for refusal in REFUSALS if refusal.path.startswith("spec")]


def sentences(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (rule["message"] for rule in node.get(VALIDATIONS, ()))
        for child in node.values():
            yield from sentences(child)
    if isinstance(node, list):
        for child in node:
            yield from sentences(child)


OURS = sorted(set(sentences(crds())))


def place(location: tuple[str | int, ...]) -> str:
    return "spec" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)


@pytest.mark.parametrize("refusal", OF_SPECS, ids=[f"{i}-{r.kind}-{r.field}" for i, r in enumerate(OF_SPECS)])
def test_a_bad_spec_is_refused_by_its_model_at_the_field_and_with_the_remedy(refusal: Refusal) -> None:
    said = [message for where, message in faults(refusal) if where.startswith(refusal.field)]
    assert said
    if any(refusal.remedy in sentence for sentence in OURS):
        assert any(refusal.remedy in message for message in said), said


def faults(refusal: Refusal) -> list[tuple[str, str]]:
    """Where and how its model refuses it."""
    with pytest.raises(ValidationError) as refused:
        MODELS[refusal.kind].model_validate(refusal.body["spec"])
    return [(place(error["loc"]), error["msg"]) for error in refused.value.errors()]


def test_every_sentence_about_a_spec_is_shown_by_some_refusal() -> None:
    shown = {message for refusal in OF_SPECS for _, message in faults(refusal)}
    of_whole_objects = {rule["message"] for crd in crds() for rule in whole(crd)}
    assert [sentence for sentence in OURS if sentence not in shown | of_whole_objects] == []


def whole(crd: dict[str, Any]) -> list[dict[str, str]]:
    """Rules on names and on changes, which only the API server judges."""
    found: list[dict[str, str]] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].get(VALIDATIONS, [])
    return found


@pytest.mark.parametrize("kind", MODELS)
def test_the_smallest_spec_of_each_kind_is_accepted(kind: str) -> None:
    MODELS[kind].model_validate(SMALL[kind])


def test_every_sentence_gives_an_example_or_says_what_to_do() -> None:
    remedies = (
        "for example",
        "remove",
        "name ",
        "choose",
        "at most",
        "create a new job",
        "can't be taken back",
        "leave it out",
        "begin with",
    )
    assert [sentence for sentence in OURS if not any(remedy in sentence for remedy in remedies)] == []


@pytest.mark.parametrize("name", ["NCCL_DEBUG", "NCCL_IB_DISABLE", "OMP_PROC_BIND", "PYTORCH_CUDA_ALLOC_CONF", "TORCH_NCCL_BLOCKING_WAIT",
                                  "HF_HUB_DOWNLOAD_TIMEOUT", "CUDA_LAUNCH_BLOCKING", "TOKENIZERS_PARALLELISM", "MLFLOW_TRACKING_URI", "TZ"])  # fmt: skip
def test_what_only_tunes_the_trainer_may_be_set(name: str) -> None:
    assert EnvVar(name=name, value="1").name == name


def test_a_queues_label_may_be_set() -> None:
    key = "kueue.x-k8s.io/queue-name"
    assert PodSettings(labels={key: "team-a"}, annotations={key: "team-a"}).labels == {key: "team-a"}


@pytest.mark.parametrize("uri", ["pvc://models", "pvc://models/llama-3/", "hf://org/m@v1.0", "hf://a_b/c.d-e", "s3://models",
                                 "s3://team.models/llama-3/", "az://models/a@b", "gs://team_a-models/llama", "oci://localhost:5000/bot",
                                 "oci://ghcr.io/a/b__c/d-e.f:v1.0", f"oci://ghcr.io/a/b:v1@sha256:{'0' * 64}", "oci://ghcr.io/a/b:v1/base"])  # fmt: skip
def test_models_may_lie_in_claims_buckets_and_repositories(uri: str) -> None:
    assert BaseModelSpec(uri=uri).uri == uri


@pytest.mark.parametrize("uri", ["pvc://data", "pvc://data/äpfel/*.jsonl", "configmap://d/*.jsonl", "configmap://d/.hidden", "https://h:8080/a/b.csv",
                                 "s3://data/rows/*.jsonl", "az://data/rows.csv", "gs://data/äpfel/a.jsonl", "oci://ghcr.io/a/rows:v1/*.jsonl",
                                 "hf://datasets/org/d@main/a/b.parquet", "hf://org/m/rows.jsonl"])  # fmt: skip
def test_rows_may_lie_anywhere_that_is_read(uri: str) -> None:
    spec = SMALL["FineTuneJob"] | {"dataset": {"train": [{"uri": uri}]}}
    assert FineTuneJobSpec.model_validate(spec).dataset.train[0].uri == uri


@pytest.mark.parametrize(
    "uri", ["oci://ghcr.io/org/bot", "oci://localhost:5000/bot:v1", "hf://org/bot", "hf://org/bot@tuned"]
)
def test_what_takes_results_alone_is_an_output_once_checkpoints_have_a_place(uri: str) -> None:
    spec = SMALL["FineTuneJob"] | {"output": {"uri": uri}, "checkpoint": {"uri": "s3://work/bot"}}
    assert FineTuneJobSpec.model_validate(spec).output.uri == uri


@pytest.mark.parametrize(
    ("more", "less"), [("2", "1999m"), ("0.5", "499m"), ("1Ki", "1k"), ("1.5Gi", "1535Mi"), ("1T", "999G")]
)
def test_quantities_compare_as_kubernetes_does(more: str, less: str) -> None:
    assert quantity(more) > quantity(less)


@pytest.mark.parametrize("regex", [r"^\s$", r"^\w+$", "^'$"])
def test_a_regex_that_two_engines_could_read_differently_is_no_rule(regex: str) -> None:
    with pytest.raises(ValueError, match="spelt out"):
        matches(regex, "never said")
