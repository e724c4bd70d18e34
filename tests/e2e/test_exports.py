"""The example of all forms that a result can take, on the real cluster."""

from __future__ import annotations

import json

import pytest
from tests.cluster import Cluster
from tests.support.kubectl import Kubectl

from .scenarios import Scenario, stored, told, train

pytestmark = pytest.mark.cluster

EDGE = Scenario("Edge", "edge.yaml", "loss", 2.0, {"lighthouse": "lighthouse"})


def test_a_model_for_the_edge_is_stored_in_every_form_with_its_digest(kubectl: Kubectl, cluster: Cluster) -> None:
    seen = train(kubectl, EDGE)
    told(seen)
    forms = {form["path"]: form for form in seen["status"]["output"]["formats"]}
    assert list(forms) == [".", "merged", "onnx-int4", "gguf-q8_0"]
    files = json.loads(stored(kubectl, cluster.trainer_image, "edge/skipjack.json"))["files"]
    assert {name.partition("/")[0] for name in files if "/" in name} == {"merged", "onnx-int4", "gguf-q8_0"}
    assert int(forms["gguf-q8_0"]["bytes"]) < 0.7 * int(forms["merged"]["bytes"])
    assert stored(kubectl, cluster.trainer_image, "edge/gguf-q8_0/edge-Q8_0.gguf")[:4] == b"GGUF"
