"""IA3: one learnt factor a channel of keys, values and the feed-forward's activations."""

from __future__ import annotations

from typing import Any

from skipjack.resolve import ResolvedSpec

from ..errors import ConfigurationInvalid
from .adapt import adapt, layer_names, linear_layers
from .base import Method

KEYS_AND_VALUES = ("k_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn", "key", "value", "k", "v")
FEED_FORWARD = ("down_proj", "mlp.c_proj", "output.dense", "wo", "fc2")
"""How the last layer of a feed-forward is called: its input is scaled, that of others is their output."""


def attach(model: Any, spec: ResolvedSpec) -> Any:
    """The model with factors of one. Raises ConfigurationInvalid where the layers can't be told by their names."""
    from peft import IA3Config

    settings = spec.method.ia3
    assert settings is not None, "resolve_spec settles it"
    chosen = list(settings.target_modules or known(model))
    config = IA3Config(
        target_modules=chosen, feedforward_modules=[name for name in chosen if ends_in(name, FEED_FORWARD)]
    )
    return adapt(model, config, spec)


def known(model: Any) -> list[str]:
    """Full names of the model's keys, values and last feed-forward layers. Raises ConfigurationInvalid."""
    layers = linear_layers(model)
    parts = [[name for name in layers if ends_in(name, ends)] for ends in (KEYS_AND_VALUES, FEED_FORWARD)]
    if not all(parts):
        raise ConfigurationInvalid(
            "method.ia3.targetModules: this model's keys, values and feed-forward can't be told by their names: name them. "
            f"Its linear layers are {', '.join(layer_names(model))}."
        )
    return [name for part in parts for name in part]


def ends_in(name: str, ends: tuple[str, ...]) -> bool:
    return any(f".{name}".endswith(f".{end}") for end in ends)


IA3 = Method(attach)
