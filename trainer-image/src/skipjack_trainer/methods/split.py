"""PiSSA and OLoRA: the first adapter B₀·A₀ is taken out of the weights themselves, whose rest is frozen.

Stored is [B, -B₀]·[A; A₀] on the untouched weights, plain LoRA of twice the rank. Checkpoints hold A₀ and B₀: another machine may
decompose a weight otherwise, and then the rest is what those of the checkpoint leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

from ..errors import ConfigurationInvalid
from .adapt import adapt, linear_layers
from .base import Method, Tensors
from .lora import lora_config, rate_factor
from .plain import adapted_layers, save_as_lora

FIRST = "first_adapter"


def attach(start: str, model: Any, spec: ResolvedSpec) -> Any:
    """The model with adapters that begin as part of its weights. Raises ConfigurationInvalid."""
    settings = spec.method.lora
    assert settings is not None, "resolve_spec settles it"
    named = settings.target_modules or ()
    layers = [name for name in linear_layers(model) if not named or name.rpartition(".")[2] in named]
    smallest = min((min(model.get_submodule(name).weight.shape) for name in layers), default=settings.rank)
    if settings.rank > smallest:
        raise ConfigurationInvalid(
            f"method.lora.rank: {settings.rank} is more than the smallest of the adapted layers has: set it to {smallest} or less."
        )
    adapted = adapt(model, lora_config(model, spec, start), spec)
    setattr(adapted, FIRST, {name: joined(layer).clone() for name, layer in adapted_layers(adapted).items()})
    adapted.save_pretrained = partial(save, adapted)
    return adapted


@torch.no_grad()
def save(model: Any, folder: Path) -> None:
    """Writes what was learnt as plain LoRA into the folder."""
    updates = {}
    for name, layer in adapted_layers(model).items():
        a, b = factors(layer, joined(layer))
        first_a, first_b = factors(layer, getattr(model, FIRST)[name])
        scale = layer.scaling["default"]
        updates[name] = torch.cat([a, first_a]) * scale, torch.cat([b, -first_b], dim=1)
    save_as_lora(model, folder, updates)


def joined(layer: Any) -> torch.Tensor:
    """A and B in one: [r, in + out]."""
    return torch.cat([layer.lora_A["default"].weight.data, layer.lora_B["default"].weight.data.T], dim=1)


def factors(layer: Any, both: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(A [r, in], B [out, r])."""
    a, b = both.split([layer.in_features, layer.out_features], dim=1)
    return a, b.T


@torch.no_grad()
def take_first(model: Any, state: Mapping[str, torch.Tensor]) -> None:
    """Makes the frozen rest the one that the first adapter of a checkpoint left."""
    layers, here = adapted_layers(model), getattr(model, FIRST)
    for name, there in state.items():
        if torch.equal(there, here[name]):
            continue
        layer = layers[name]
        weight = layer.get_base_layer().weight
        (a, b), (other_a, other_b) = factors(layer, here[name]), factors(layer, there)
        change = layer.scaling["default"] * (b @ a - other_b @ other_a)
        weight.copy_(weight.float() + (change.T if layer.fan_in_fan_out else change))
        here[name] = there


def first(model: Any) -> Tensors:
    return dict(getattr(model, FIRST))


# Sixteen rounds of a randomised decomposition: as good as a full one here, in seconds instead of minutes; drawn by the seed.
PISSA = Method(partial(attach, "pissa_niter_16"), rate_factor, extra_state=first, take_extra=take_first)
OLORA = Method(partial(attach, "olora"), rate_factor, extra_state=first, take_extra=take_first)
