"""Stores what was learnt as plain LoRA, which any reader of LoRA applies to the untouched base model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

PREFIX = "base_model.model."


def save_as_lora(model: Any, folder: Path, updates: Mapping[str, tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Writes an adapter that adds B·A to each layer.

    `updates`: layer's name in the base model → (A [r, in], B [out, r]), r at least 1. Beside them goes what else was trained (a head).
    """
    from peft import LoraConfig, get_peft_model_state_dict
    from safetensors.torch import save_file

    own = model.peft_config["default"]
    ranks = {name: len(a) for name, (a, _) in updates.items()}
    most = max(ranks.values())
    others = {name: rank for name, rank in ranks.items() if rank != most}
    config = LoraConfig(
        r=most,
        lora_alpha=most,
        rank_pattern=dict(others),
        alpha_pattern=dict(others),
        target_modules=own.target_modules,
        modules_to_save=own.modules_to_save,
        fan_in_fan_out=own.fan_in_fan_out,
        task_type=own.task_type,
        base_model_name_or_path=own.base_model_name_or_path,
        revision=own.revision,
        inference_mode=True,
    )
    tensors = {
        name: tensor
        for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items()
        if ".lora_" not in name
    }
    for name, (a, b) in updates.items():
        tensors |= {f"{PREFIX}{name}.lora_A.weight": a, f"{PREFIX}{name}.lora_B.weight": b}
    folder.mkdir(parents=True, exist_ok=True)
    config.save_pretrained(str(folder))
    file = folder / "adapter_model.safetensors"
    save_file({n: t.detach().cpu().contiguous() for n, t in tensors.items()}, file, {"format": "pt"})


def adapted_layers(model: Any) -> dict[str, Any]:
    """Name in the base model → PEFT's layer around it, for LoRA and its kin."""
    from peft.tuners.lora import LoraLayer

    return {name.removeprefix(PREFIX): layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}
