"""LoRA's linear layer in one function.

PEFT's own forward pass casts its input to the adapter's fp32, autocast casts it back, and that copy stays for the backward pass beside
the input; three tensors of the output's size come and go. This one keeps the input once, and adds the update where the result lies.
PEFT keeps holding the parameters. 1.15 times the tokens a CPU-second where it was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import linear

from ..quantize import dense

PLAIN = frozenset({"Linear", "Linear4bit"})
"""PEFT's layers that compute W·x + bias + scale·B·A·dropout(x), unless a variant says otherwise."""


def quicken(model: torch.nn.Module) -> int:
    """Gives PEFT's plain LoRA layers of `model` the function below; how many. Others stay as they are."""
    from peft.tuners.lora import LoraLayer

    layers = [module for module in model.modules() if isinstance(module, LoraLayer) and is_plain(module)]
    for layer in layers:
        layer.forward = _forward_of(layer)
    return len(layers)


def is_plain(layer: Any) -> bool:
    """Whether it computes that and no more: one adapter on a frozen base, no dropout, no bias of its own, no variant such as DoRA."""
    names = list(layer.lora_A)
    return (
        type(layer).__name__ in PLAIN
        and type(layer.base_layer).__name__ in PLAIN
        and names == list(layer.active_adapters)
        and len(names) == 1
        and not layer.lora_variant
        and isinstance(layer.lora_dropout[names[0]], torch.nn.Identity)
        and not layer.lora_bias[names[0]]
        and not any(p.requires_grad for p in layer.base_layer.parameters())
    )


def _forward_of(layer: Any) -> Callable[..., torch.Tensor]:
    """The layer's forward pass: the stock one again once it is merged, switched off, or partitioned (ZeRO-3)."""
    (name,) = layer.lora_A
    a, b, base = layer.lora_A[name], layer.lora_B[name], layer.base_layer

    def forward(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        if layer.merged or layer.disable_adapters or args or kwargs or hasattr(base.weight, "ds_id"):
            told: torch.Tensor = type(layer).forward(layer, x, *args, **kwargs)
            return told
        done: torch.Tensor = _LoRALinear.apply(x, base.weight, base.bias, a.weight, b.weight, layer.scaling[name])
        return done

    return forward


class _LoRALinear(torch.autograd.Function):
    """x [..., in], W [out, in] frozen, A [r, in], B [out, r] → [..., out], in autocast's precision, or in the input's without it."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        with torch.autocast(kind, enabled=False):
            rows = x.to(dtype).flatten(0, -2)
            within = rows @ a.to(dtype).T
            done = linear(rows, dense(weight, dtype), None if bias is None else bias.to(dtype))
            done.addmm_(within, b.to(dtype).T, alpha=scale)
        ctx.save_for_backward(rows, within, a, b)
        ctx.weight, ctx.scale, ctx.shape, ctx.x_dtype = weight, scale, x.shape, x.dtype
        return done.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, by_done: torch.Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        rows, within, a, b = ctx.saved_tensors
        dtype = rows.dtype
        with torch.autocast(by_done.device.type, enabled=False):
            by_rows = by_done.to(dtype).flatten(0, -2)
            by_within = (by_rows @ b.to(dtype)).mul_(ctx.scale)
            by_b = (by_rows.T @ within).to(b.dtype).mul_(ctx.scale)
            by_a = (by_within.T @ rows).to(a.dtype)
            by_x = None
            if ctx.needs_input_grad[0]:
                by_x = (by_rows @ dense(ctx.weight, dtype)).addmm_(by_within, a.to(dtype))
                by_x = by_x.view(ctx.shape).to(ctx.x_dtype)
        return by_x, None, None, by_a, by_b, None
