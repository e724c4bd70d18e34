"""The example jobs, and the catalogue that the chart ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from skipjack.api.v1alpha1 import BaseModelResource, NodeTypeResource
from skipjack.resolve import Catalogue

ROOT = Path(__file__).resolve().parents[2]


def example(name: str) -> dict[str, Any]:
    """The spec of the FineTuneJob in examples/NAME.yaml."""
    documents = yaml.safe_load_all((ROOT / f"examples/{name}.yaml").read_text())
    (job,) = (document for document in documents if document["kind"] == "FineTuneJob")
    spec: dict[str, Any] = job["spec"]
    return spec


def shipped_catalogue() -> Catalogue:
    shipped = yaml.safe_load((ROOT / "charts/skipjack/values.yaml").read_text())["catalogue"]
    kinds = shipped["nodeTypes"] | shipped["nvidiaNodeTypes"]
    return Catalogue(
        tuple(NodeTypeResource.model_validate({"name": name, "spec": spec}) for name, spec in kinds.items()),
        tuple(
            BaseModelResource.model_validate({"name": name, "spec": spec})
            for name, spec in shipped["baseModels"].items()
        ),
    )
