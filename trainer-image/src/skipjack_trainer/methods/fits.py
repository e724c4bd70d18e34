"""What a method can't do: with a model, told from its configuration alone, and with what a task puts on top of it."""

from __future__ import annotations

from typing import Any

from skipjack.api.v1alpha1.compute import Strategy
from skipjack.methods import METHODS
from skipjack.resolve import ResolvedSpec

from ..errors import ConfigurationInvalid

OF_CONV1D = frozenset({"gpt2", "openai-gpt"})
"""Families (`model_type`) made of Conv1D in place of linear layers. Quantised, they are made of linear ones."""
DRAWS = "TEXT_TO_IMAGE"
TOKEN_BY_TOKEN = frozenset({"TOKEN_CLS", "QUESTION_ANS"})


def refuse_unfit(spec: ResolvedSpec, config: Any) -> None:
    """Raises ConfigurationInvalid where the method can't tune such a model."""
    name, method = spec.method.type.value, METHODS[spec.method.type]
    if method.linear_only and config.model_type in OF_CONV1D and not spec.method.quantization:
        raise ConfigurationInvalid(
            f"method.type: {name} adapts linear layers, and a {config.model_type} is made of Conv1D: choose LoRA, or another model."
        )


def refuse_head(spec: ResolvedSpec, kind: str) -> None:
    """Raises ConfigurationInvalid where the method can't tune a model with such a head. `kind` is PEFT's task type."""
    name, method = spec.method.type.value, METHODS[spec.method.type]
    if kind == DRAWS:
        _refuse_to_draw(spec)
    if not method.labels_tokens and kind in TOKEN_BY_TOKEN:
        raise ConfigurationInvalid(
            f"method.type: {name} puts virtual tokens into the text, whose every token is to be labelled: choose LoRA."
        )


def _refuse_to_draw(spec: ResolvedSpec) -> None:
    """Raises ConfigurationInvalid where a diffusion model can't be tuned so."""
    if not METHODS[spec.method.type].draws:
        able = ", ".join(kind.value for kind, method in METHODS.items() if method.draws)
        raise ConfigurationInvalid(
            f"method.type: {spec.method.type.value} can't tune a diffusion model: choose one of {able}."
        )
    if spec.method.quantization:
        raise ConfigurationInvalid("method.quantization: a diffusion model can't be quantised yet: remove it.")
    if spec.compute.strategy is Strategy.ZERO3:
        raise ConfigurationInvalid(
            "compute.strategy: a diffusion model's weights can't be partitioned by ZeRO3 yet: choose DDP, ZeRO1 or ZeRO2."
        )
