"""A frozen base model in 4 bits, by bitsandbytes: its linear layers but the head.

Embeddings and norms stay in the precision of the forward pass. The usual preparation for k-bit training makes them fp32: at a
vocabulary of 128k and a width of 4096 another 1 GB, for weights that nobody trains.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch

from skipjack.resolve.resolved import ResolvedQuantization


def configuration(settings: ResolvedQuantization, dtype: torch.dtype, heads: Collection[str] = ()) -> Any:
    """What `from_pretrained` takes; `dtype` is that of the forward pass.

    `heads`: names of new heads, which are trained whole. Left out, transformers finds the head of a language model.
    """
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=settings.type.value.lower(),
        bnb_4bit_use_double_quant=settings.double_quant,
        bnb_4bit_compute_dtype=dtype,
        # Strategies that share weights out take those of one dtype together.
        bnb_4bit_quant_storage=dtype,
        llm_int8_skip_modules=sorted(heads) or None,
    )


def keep_trainable(model: Any) -> Any:
    """The quantised model, which will not lose its gradients.

    On CPUs with AVX512-BF16 a forward pass in evaluation mode packs the weights anew for a kernel without a backward pass: from then
    on nothing before them learns, and what is dequantised is garbage.
    """
    from bitsandbytes.nn import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
    return model


def is_quantized(layer: Any) -> bool:
    """Some families keep single layers as they are: T5 the last one of each feed-forward."""
    from bitsandbytes.nn import Params4bit

    return isinstance(layer.weight, Params4bit)


def elements(parameter: torch.Tensor) -> int:
    """How many numbers it is: one in 4 bits holds two in each byte of its storage."""
    state = getattr(parameter, "quant_state", None)
    return parameter.numel() if state is None else state.shape.numel()


def held_bytes(parameter: torch.Tensor) -> int:
    """What it takes in memory; in 4 bits with the scale of each block, which with double quantisation has scales of its own."""
    state = getattr(parameter, "quant_state", None)
    scales = [] if state is None else [state.absmax, *([state.state2.absmax] if state.nested else [])]
    return parameter.nbytes + sum(scale.nbytes for scale in scales)


def dense(weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[out, in]: what a linear layer computes with, whose matrix may be held in 4 bits."""
    if (state := getattr(weight, "quant_state", None)) is None:
        return weight.to(dtype)
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(weight.data, state).to(dtype)


def dequantize(model: Any) -> Any:
    """The model with its quantised layers as plain ones, in fp32."""
    for name, module in list(model.named_modules()):
        if isinstance(module, torch.nn.Linear) and is_quantized(module):
            plain = torch.nn.Linear(module.in_features, module.out_features, module.bias is not None, device="meta")
            plain.weight = torch.nn.Parameter(dense(module.weight, torch.float32), requires_grad=False)
            if module.bias is not None:
                plain.bias = torch.nn.Parameter(module.bias.data.float(), requires_grad=False)
            model.set_submodule(name, plain)
    # Until these are gone it can be neither cast nor saved.
    model.hf_quantizer = None
    for told in ("is_quantized", "is_loaded_in_4bit", "quantization_method"):
        if hasattr(model, told):
            delattr(model, told)
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    return model
