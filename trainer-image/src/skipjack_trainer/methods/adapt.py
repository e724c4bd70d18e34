"""What all methods by PEFT have in common: which layers, which head, what is stored of the base model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from skipjack.api.v1alpha1.method import block_of
from skipjack.resolve import ResolvedSpec

from ..errors import ConfigurationInvalid
from ..shape import NEW_HEADS

UNET = "UNet2DConditionModel"
UNET_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""What of a UNet is adapted unless asked otherwise, as in diffusers' scripts."""

KINDS: dict[str, str | None] = {
    "ForCausalLM": "CAUSAL_LM",
    "LMHeadModel": "CAUSAL_LM",
    "ForConditionalGeneration": "SEQ_2_SEQ_LM",
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
    UNET: None,
}
"""How the name of a model's class ends → PEFT's task type."""


def adapt(model: Any, config: Any, spec: ResolvedSpec) -> Any:
    """The model with the adapter of `config`, whose weights are fp32. Raises ConfigurationInvalid."""
    from peft import get_peft_model

    config.task_type = kind_of(model)
    torch.manual_seed(spec.hyperparameters.seed)
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise ConfigurationInvalid(
            f"method.{block_of(spec.method.type)}: {error}. This model's linear layers are {', '.join(layer_names(model))}."
        ) from error
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    name, _, revision = spec.model.uri.removeprefix("hf://").partition("@")
    config.base_model_name_or_path = name
    config.revision = revision or None
    # Left to itself PEFT asks the hub whether the vocabulary has grown. It never grows here, and the hub may be out of reach.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    return adapted


def kind_of(model: Any) -> str | None:
    """PEFT's task type for the model's class; it has none for a UNet."""
    name = type(model).__name__
    return next(kind for end, kind in KINDS.items() if name.endswith(end))


def targets(model: Any, spec: ResolvedSpec) -> list[str]:
    """Full names of the layers to adapt: those that the spec names, or else every linear one but heads, of a UNet those
    of its attention. Raises ConfigurationInvalid."""
    block = block_of(spec.method.type)
    assert block is not None, "methods without settings adapt no layers"
    named, layers = getattr(spec.method, block).target_modules, linear_layers(model)
    if named is None and type(model).__name__ == UNET:
        named = UNET_ATTENTION
    if named is None:
        return layers
    missing = [end for end in named if not any(ends_in(layer, (end,)) for layer in layers)]
    if missing:
        known = ", ".join(layer_names(model))
        raise ConfigurationInvalid(
            f"method.{block}.targetModules: this model has no {' and no '.join(missing)} below its head: its linear layers are {known}."
        )
    return [layer for layer in layers if ends_in(layer, named)]


def ends_in(layer: str, ends: Sequence[str]) -> bool:
    return any(f".{layer}".endswith(f".{end}") for end in ends)


def linear_layers(model: Any) -> list[str]:
    """Full names of the linear layers below the head."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head and NEW_HEADS.isdisjoint(name.split("."))
    ]


def layer_names(model: Any) -> list[str]:
    """The linear layers as a spec names them."""
    return sorted({name.rpartition(".")[2] for name in linear_layers(model)})
