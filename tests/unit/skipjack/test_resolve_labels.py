"""What a spec says of labels, before any data is seen."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import catalogue, spec

from skipjack.resolve import ResolvedSpec, SpecRefused, resolve_spec

TRAIN = [{"uri": "configmap://data/train.jsonl"}]


def resolved(task: str | None, labels: list[str] | None = None, **hyperparameters: Any) -> ResolvedSpec:
    dataset = {"train": TRAIN, "labels": labels}
    return resolve_spec(
        spec(task=task, dataset=dataset, hyperparameters=hyperparameters), "job", "team", "uid", catalogue()
    )


@pytest.mark.parametrize(
    ("reason", "refusal", "said"),
    [
        ("LabelTwice", r"dataset\.labels: a stands in it twice", {"task": None, "labels": ["a", "b", "a"]}),
        ("TaskWithoutLabels", r"spec\.dataset\.labels: Chat has no labels: remove it", {"task": "Chat", "labels": ["a", "b"]}),
        ("TaskWithoutLabels", r"hyperparameters\.classWeights: Completion has no", {"task": "Completion", "classWeights": {"a": 2}}),
        ("TaskWithoutLabels", r"hyperparameters\.balanceClasses: Chat .* choose TextClassification or", {"task": "Chat", "balanceClasses": True}),
        ("LabelUnknown", r"classWeights: c, d is not in dataset\.labels", {"task": None, "labels": ["a", "b"], "classWeights": {"d": 2, "a": 1, "c": 3}}),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_before_any_data_is_seen(
    reason: str, refusal: str, said: dict[str, Any]
) -> None:
    with pytest.raises(SpecRefused, match=refusal) as refused:
        resolved(**said)
    assert refused.value.reason == reason


@pytest.mark.parametrize("task", [None, "TextClassification", "TokenClassification"])
def test_weights_are_told_back_with_whose_they_are(task: str | None) -> None:
    own = resolved(task, ["a", "b"], classWeights={"a": 2})
    assert own.hyperparameters.class_weights == {"a": 2.0}
    assert own.origins["hyperparameters.class_weights"] == "spec"
    usual = resolved(task)
    assert (usual.hyperparameters.class_weights, usual.hyperparameters.balance_classes) == (None, False)
    assert usual.origins["hyperparameters.class_weights"] == "every class counts the same"
