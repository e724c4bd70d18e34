"""Builders of objects, so that a test shows only what matters to it."""

from __future__ import annotations

from typing import Any

from skipjack.api.v1alpha1 import BaseModelResource, FineTuneJobSpec, NodeTypeResource
from skipjack.resolve import Catalogue


def spec(**changes: Any) -> FineTuneJobSpec:
    """The smallest spec, with `changes` to its top level."""
    smallest: dict[str, Any] = {
        "model": "hf://org/model",
        "dataset": {"train": [{"uri": "configmap://data/train.jsonl"}]},
        "output": {"uri": "pvc://models/result"},
    }
    return FineTuneJobSpec.model_validate(smallest | changes)


def node_type(name: str = "cpu", **changes: Any) -> NodeTypeResource:
    small: dict[str, Any] = {"cpu": "500m", "cpuLimit": "2", "memory": "4Gi", "precisions": ["FP32", "BF16"]}
    return NodeTypeResource.model_validate({"name": name, "spec": small | changes})


def gpu(name: str = "h100x8", **changes: Any) -> NodeTypeResource:
    accelerator = {"resource": "nvidia.com/gpu", "count": 8, "memory": "80Gi"}
    return node_type(name, accelerator=accelerator, **changes)


def base_model(name: str = "phi-3-mini", **changes: Any) -> BaseModelResource:
    return BaseModelResource.model_validate(
        {"name": name, "spec": {"uri": "hf://org/phi@main", "contextLength": 4096} | changes}
    )


def catalogue(*entries: NodeTypeResource | BaseModelResource) -> Catalogue:
    """The entries as a catalogue; a default CPU type when no node type is among them."""
    types = tuple(e for e in entries if isinstance(e, NodeTypeResource)) or (node_type(default=True),)
    return Catalogue(types, tuple(e for e in entries if isinstance(e, BaseModelResource)))
