"""What the chart seeds the catalogues with."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from skipjack.api.v1alpha1 import BaseModelResource, NodeTypeResource
from skipjack.api.v1alpha1.compute import Precision

from .rendered import named, render

pytestmark = pytest.mark.cluster


def seeded(*values: str) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = yaml.safe_load(
        named(render(*values), "ConfigMap", "skipjack-catalogue")["data"]["catalogue.yaml"]
    )
    return found


def node_types(*values: str) -> dict[str, NodeTypeResource]:
    return {entry["name"]: NodeTypeResource.model_validate(entry) for entry in seeded(*values)["nodeTypes"]}


def test_every_entry_is_one_that_the_models_accept_and_one_node_type_is_the_default() -> None:
    types = node_types()
    assert [name for name, found in types.items() if found.spec.default] == ["cpu"]
    models = [BaseModelResource.model_validate(entry) for entry in seeded()["baseModels"]]
    assert {model.name for model in models} == {"smollm2-135m-instruct", "phi-3-mini", "phi-3-small", "phi-3-medium"}


def test_every_gpu_type_goes_to_nodes_of_its_product_and_tolerates_their_taint() -> None:
    gpus = {name: found.spec for name, found in node_types().items() if found.spec.accelerator}
    assert {"t4x1", "l4x1", "a100x1", "a100x8", "h100x1", "h100x8"} <= set(gpus)
    for name, spec in gpus.items():
        assert spec.accelerator is not None
        assert spec.accelerator.resource == "nvidia.com/gpu"
        assert name.endswith(f"x{spec.accelerator.count}")
        assert set(spec.node_selector or {}) == {"nvidia.com/gpu.product"}
        assert [toleration.key for toleration in spec.tolerations or ()] == ["nvidia.com/gpu"]


def test_turing_has_no_bf16() -> None:
    assert node_types()["t4x1"].spec.precisions == [Precision.FP32]


def test_eight_jobs_of_one_gpu_fit_beside_each_other_where_one_of_eight_fits() -> None:
    types = {name: found.spec for name, found in node_types().items()}
    for product in ("a100", "h100"):
        assert 8 * int(types[f"{product}x1"].cpu) <= int(types[f"{product}x8"].cpu)
        assert 8 * int(types[f"{product}x1"].memory.removesuffix("Gi")) <= int(
            types[f"{product}x8"].memory.removesuffix("Gi")
        )


def test_types_are_switched_off_together_and_one_by_one() -> None:
    assert set(node_types("catalogue.nvidia=false")) == {"cpu"}
    assert "t4x1" not in node_types("catalogue.nvidiaNodeTypes.t4x1=null")
    assert "cpu" not in node_types("catalogue.nodeTypes.cpu=null")
