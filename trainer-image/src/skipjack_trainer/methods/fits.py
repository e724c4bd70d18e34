"""What a method can't do: with a model, told from its configuration alone, and with what a task puts on top of it."""

from __future__ import annotations

from typing import Any

from skipjack.methods import METHODS
from skipjack.resolve import ResolvedSpec

from ..errors import ConfigurationInvalid

OF_CONV1D = frozenset({"gpt2", "openai-gpt"})
"""Families (`model_type`) made of Conv1D in place of linear layers. Quantised, they are made of linear ones."""
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
    if not method.labels_tokens and kind in TOKEN_BY_TOKEN:
        raise ConfigurationInvalid(
            f"method.type: {name} puts virtual tokens into the text, whose every token is to be labelled: choose LoRA."
        )
