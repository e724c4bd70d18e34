"""What all methods by PEFT have in common: which layers, which head, what is stored of the base model."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from skipjack.api.v1alpha1.method import block_of
from skipjack.resolve import ResolvedSpec

from ..errors import ConfigurationInvalid

KINDS = {
    "ForCausalLM": "CAUSAL_LM",
    "LMHeadModel": "CAUSAL_LM",
    "ForConditionalGeneration": "SEQ_2_SEQ_LM",
    "ForSequenceClassification": "SEQ_CLS",
    "ForTokenClassification": "TOKEN_CLS",
    "ForQuestionAnswering": "QUESTION_ANS",
}
"""How the name of a model's class ends → PEFT's task type."""

HEADS = frozenset({"classifier", "score", "qa_outputs", "classification_head"})
"""New layers on top of a pretrained body: trained whole, never adapted."""


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


def kind_of(model: Any) -> str:
    """PEFT's task type for the model's class."""
    name = type(model).__name__
    return next(kind for end, kind in KINDS.items() if name.endswith(end))


def targets(model: Any, named: tuple[str, ...] | None) -> list[str]:
    """What to adapt: the layers that the spec names, or else every linear one but heads."""
    return list(named) if named else linear_layers(model)


def linear_layers(model: Any) -> list[str]:
    """Full names of the linear layers below the head."""
    from transformers.pytorch_utils import Conv1D

    head = model.get_output_embeddings()
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head and HEADS.isdisjoint(name.split("."))
    ]


def layer_names(model: Any) -> list[str]:
    """The linear layers as a spec names them."""
    return sorted({name.rpartition(".")[2] for name in linear_layers(model)})
