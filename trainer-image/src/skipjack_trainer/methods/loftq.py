"""LoftQ: QLoRA whose adapter begins as the best approximation, of its rank, of what quantisation took from each weight.

One round of the paper's alternation, so that the base is the NF4 that any reader makes of it.
"""

from __future__ import annotations

from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

from ..quantize import dense, is_quantized
from . import lora
from .base import Method
from .plain import adapted_layers


def attach(model: Any, spec: ResolvedSpec) -> Any:
    """The quantised model with such adapters. The weights are read once more, as they were. Raises ConfigurationInvalid."""
    adapted = lora.attach(model, spec)
    whole = type(model).from_pretrained(model.name_or_path, dtype="auto", trust_remote_code=False)
    quantized = {name: layer for name, layer in adapted_layers(adapted).items() if is_quantized(layer.get_base_layer())}
    for name, layer in quantized.items():
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        lost = weight_of(whole.get_submodule(name)).to(a.device) - dense(layer.get_base_layer().weight, torch.float32)
        u, s, v = torch.svd_lowrank(lost, q=len(a), niter=16)
        root = torch.sqrt(s / layer.scaling["default"])
        a.data, b.data = (v * root).T.contiguous(), u * root
    return adapted


def weight_of(layer: Any) -> torch.Tensor:
    """[out, in], in fp32."""
    from transformers.pytorch_utils import Conv1D

    weight: torch.Tensor = layer.weight.data.float()
    return weight.T if isinstance(layer, Conv1D) else weight


LOFTQ = Method(attach, lora.rate_factor)
