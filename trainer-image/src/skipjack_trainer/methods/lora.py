"""LoRA by PEFT."""

from __future__ import annotations

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
        known = sorted({name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)})
        raise ConfigurationInvalid(f"method.lora.targetModules: {error}. This model's linear layers are {', '.join(known)}.") from error
    adapted.peft_config["default"].base_model_name_or_path = spec.model.uri.removeprefix("hf://")
    return adapted
