"""NodeTypes and BaseModels that are refused."""

from __future__ import annotations

from typing import Any

from .base import DROP, Refusal


def _node(path: str, value: Any, remedy: str, judged: str = "") -> Refusal:
    return Refusal("NodeType", path, value, remedy, judged)


def _model(path: str, value: Any, remedy: str) -> Refusal:
    return Refusal("BaseModel", path, value, remedy)


OF_CATALOGUES = [
    _node("spec.cpu", DROP, "equired"),
    _node("spec.cpu", "two", "500m for example"),
    _node("spec.cpu", "0.0001", "500m for example"),
    _node("spec.cpu", "2k", "500m for example"),
    _node("spec.cpu", "0", "no CPU at all"),
    _node("spec.cpu", "0m", "no CPU at all"),
    _node("spec.cpuLimit", "1500m", "raise it to cpu or more", "spec"),
    _node("spec.memory", "16GB", "16Gi for example"),
    _node("spec.memory", "500m", "16Gi for example"),
    _node("spec.memory", "0", "is the unit missing?"),
    _node("spec.memory", "16", "is the unit missing?"),
    _node("spec.precisions", [], "at least 1"),
    _node("spec.precisions", ["FP8"], "'BF16'", "spec.precisions[0]"),
    _node("spec.nodeSelector", {"a b": "c"}, "a key is NAME or DOMAIN/NAME"),
    _node("spec.nodeSelector", {"gpu": "NVIDIA H100"}, "a label's value"),
    _node("spec.runtimeClassName", "Kata!", "lower-case letters"),
    _node("spec.tolerations", [{"key": "a b"}], "a key is NAME or DOMAIN/NAME", "spec.tolerations[0].key"),
    _node("spec.tolerations", [{"key": "a", "operator": "Exists", "value": "b"}], "remove the value", "spec.tolerations[0]"),
    _node("spec.tolerations", [{"key": "a", "value": "b c"}], "a label's value", "spec.tolerations[0].value"),
    _node("spec.tolerations", [{"key": "a", "tolerationSeconds": 5}], "add the effect", "spec.tolerations[0]"),
    _node("spec.accelerator", {"resource": "gpu", "count": 1, "memory": "80Gi"}, "nvidia.com/gpu for example", "spec.accelerator.resource"),
    _node("spec.accelerator", {"resource": "requests.nvidia.com/gpu", "count": 1, "memory": "80Gi"}, "Kubernetes' own",
          "spec.accelerator.resource"),
    _node("spec.accelerator", {"resource": "kubernetes.io/gpu", "count": 1, "memory": "80Gi"}, "Kubernetes' own", "spec.accelerator.resource"),
    _node("spec.accelerator", {"resource": f"{'a.' * 122}a/gpu", "count": 1, "memory": "80Gi"}, "at most 243", "spec.accelerator.resource"),
    _node("spec.accelerator", {"resource": "nvidia.com/gpu", "count": 0, "memory": "80Gi"}, "greater than or equal to 1",
          "spec.accelerator.count"),
    _node("spec.accelerator", {"resource": "nvidia.com/gpu", "count": 1, "memory": "80"}, "is the unit missing?", "spec.accelerator.memory"),
    _node("spec.price", "3 EUR", ""),
    _model("spec.uri", DROP, "equired"),
    _model("spec.uri", "phi-3-mini", "hf://HuggingFaceTB/SmolLM2-135M-Instruct"),
    _model("spec.uri", "https://example.com/model", "hf://HuggingFaceTB/SmolLM2-135M-Instruct"),
    _model("spec.uri", "hf://org/m@main@b", "hf://ORG/NAME@REVISION"),
    _model("spec.uri", "pvc://Claim/path", "names a PersistentVolumeClaim"),
    _model("spec.parameters", "3.8B", "3.8G for example"),
    _model("spec.contextLength", 4, "greater than or equal to 8"),
    _model("spec.remoteCode", True, ""),
]  # fmt: skip
