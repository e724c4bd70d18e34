"""LoRA by PEFT."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

from ..errors import ConfigurationInvalid


def attach(model: Any, spec: ResolvedSpec) -> Any:
    """The model with fp32 adapters beside its linear layers, the output head left out. Raises ConfigurationInvalid."""
    from peft import LoraConfig, get_peft_model

    settings = spec.method.lora
    assert settings is not None, "resolve_spec settles it"
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules) if settings.target_modules else "all-linear",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(spec.hyperparameters.seed)
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        known = sorted(
            {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
        )
        raise ConfigurationInvalid(
            f"method.lora.targetModules: {error}. This model's linear layers are {', '.join(known)}."
        ) from error
    name, _, revision = spec.model.uri.removeprefix("hf://").partition("@")
    adapted.peft_config["default"].base_model_name_or_path = name
    adapted.peft_config["default"].revision = revision or None
    # Left to itself PEFT asks the hub whether the vocabulary has grown. It never grows here, and the hub may be out of reach.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=False)
    return adapted
