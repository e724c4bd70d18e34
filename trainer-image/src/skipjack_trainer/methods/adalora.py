"""AdaLoRA: P·Λ·Q beside each linear layer, whose singular values Λ are set to zero where they count least.

How much each counts is a running average of weight times gradient, which a checkpoint must hold. Stored is plain LoRA of each layer's
own rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

from ..errors import ConfigurationInvalid
from .adapt import adapt, targets
from .base import Method, Tensors
from .plain import adapted_layers, save_as_lora

AVERAGES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""What PEFT's RankAllocator keeps of each parameter."""
PATTERN = "rank_pattern"
ORTHOGONALITY = 0.5
"""Weight of the penalty: PEFT's default, within the paper's 0.1 to 0.5."""


def attach(model: Any, spec: ResolvedSpec) -> Any:
    """The model with adapters of 1.5 times the rank, a third of which is taken away over the steps. Raises ConfigurationInvalid."""
    from peft import AdaLoraConfig

    settings, steps = spec.method.lora, spec.hyperparameters.max_steps
    assert settings is not None, "resolve_spec settles it"
    assert steps is not None, "resolve_data settles it"
    if steps < 2:
        raise ConfigurationInvalid(
            "method.type: AdaLoRA needs 2 steps or more to see which ranks count: train longer, or choose LoRA."
        )
    config = AdaLoraConfig(
        init_r=ceil(1.5 * settings.rank),
        target_r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets(model, settings.target_modules),
        total_step=steps,
        tinit=steps // 10,
        tfinal=steps // 4,
        deltaT=max(1, steps // 100),
        orth_reg_weight=ORTHOGONALITY,
    )
    adapted = adapt(model, config, spec)
    adapted.save_pretrained = partial(save, adapted)
    return adapted


def penalty(model: Any) -> torch.Tensor:
    """How far P and Q are from orthogonal: the mean Frobenius norm of their Gram matrices' distance to one (the paper's equation 4)."""
    grams = []
    for layer in adapted_layers(model).values():
        q, p = layer.lora_A["default"], layer.lora_B["default"]
        grams += [q @ q.T, p.T @ p]
    distances = [torch.linalg.matrix_norm(g - torch.eye(len(g), device=g.device)) for g in grams]
    return ORTHOGONALITY * torch.stack(distances).mean()


def after_step(model: Any, step: int) -> None:
    """Weighs every singular value by this step's gradients, and takes away those beyond the budget."""
    model.base_model.update_and_allocate(step)


def extra_state(model: Any) -> Tensors:
    allocator, pattern = model.base_model.rankallocator, model.peft_config["default"].rank_pattern or {}
    averages = {f"{kind}/{name}": t for kind in AVERAGES for name, t in getattr(allocator, kind).items()}
    return averages | {f"{PATTERN}/{name}": torch.tensor(kept) for name, kept in pattern.items()}


def take_extra(model: Any, state: Mapping[str, torch.Tensor]) -> None:
    pattern = {}
    for key, tensor in state.items():
        kind, _, name = key.partition("/")
        if kind == PATTERN:
            pattern[name] = tensor.tolist()
        else:
            getattr(model.base_model.rankallocator, kind)[name] = tensor
    model.peft_config["default"].rank_pattern = pattern or None


@torch.no_grad()
def save(model: Any, folder: Path) -> None:
    """Writes what was learnt as plain LoRA, of the rank that each layer has left, into the folder."""
    updates = {}
    for name, layer in adapted_layers(model).items():
        values = layer.lora_E["default"]
        kept = values.flatten().nonzero().flatten() if values.any() else torch.zeros(1, dtype=torch.long)
        scale = layer.scaling["default"] / (layer.ranknum["default"] + 1e-5)
        updates[name] = (values * layer.lora_A["default"])[kept] * scale, layer.lora_B["default"][:, kept]
    save_as_lora(model, folder, updates)


ADALORA = Method(attach, penalty=penalty, after_step=after_step, extra_state=extra_state, take_extra=take_extra)
