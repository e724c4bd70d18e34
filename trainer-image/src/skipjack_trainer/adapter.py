"""A stored adapter of PEFT's, to be trained further: whether it is what the spec trains, and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file

from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.choices import OWN
from skipjack.resolve.resolved import camel

from .errors import ConfigurationInvalid

ADAPTER_CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"

LORA = {"rank": "r", "alpha": "lora_alpha", "dora": "use_dora", "rank_stabilized": "use_rslora"}
"""Setting of method.lora → what PEFT calls it."""

TRAINED_OTHERWISE = {
    MethodType.PISSA: "as plain LoRA of twice the rank",
    MethodType.OLORA: "as plain LoRA of twice the rank",
    MethodType.ADALORA: "as plain LoRA of the ranks that were left",
    MethodType.PREFIX_TUNING: "as what its network made",
    MethodType.P_TUNING: "as what its network made",
}
"""Methods whose stored adapter is not what they train, and how it is stored."""


def agreed(spec: ResolvedSpec, config: dict[str, Any], folder: Path, title: str, is_merged: bool) -> ResolvedSpec:
    """The spec with the base model and the settings of the adapter where it leaves them open.

    Raises ConfigurationInvalid with both values where it says otherwise.
    """
    spec = _on_its_base(spec, config, title)
    kind = spec.method.type
    if is_merged or spec.start_from is None:
        return spec
    if kind in TRAINED_OTHERWISE:
        raise ConfigurationInvalid(
            f"method.type: {kind.value} stores its adapter {TRAINED_OTHERWISE[kind]}, which can't be trained on as {kind.value}, and {title} has no "
            "checkpoint of its last step: choose Full, which merges it first."
        )
    if spec.method.lora is None or config.get("peft_type") != "LORA":
        return spec
    decided: dict[str, tuple[Any, str]] = {}
    for setting, key in LORA.items():
        _decide(spec, decided, setting, getattr(spec.method.lora, setting), config.get(key), title)
    own = sorted(spec.method.lora.target_modules or ())
    _decide(spec, decided, "target_modules", own, targets_of(folder / TENSORS), title)
    return spec.deciding(decided)


def _decide(
    spec: ResolvedSpec, decided: dict[str, tuple[Any, str]], setting: str, own: Any, theirs: Any, title: str
) -> None:
    path = f"method.lora.{setting}"
    if own == theirs:
        return
    if spec.origins.get(path) == OWN:
        raise ConfigurationInvalid(
            f"{camel(path)} is {_plain(own)}, of {title} it is {_plain(theirs)}: leave it out, or set it to that."
        )
    decided[path] = theirs, f"startFrom {title}"


def _plain(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def targets_of(tensors: Path) -> list[str]:
    """The layers that an adapter adapts, as a spec names them."""
    with safe_open(tensors, "pt") as stored:
        layers = [name.partition(".lora_")[0] for name in stored.keys() if ".lora_" in name]  # noqa: SIM118 -- no dictionary
    return sorted({layer.rpartition(".")[2] for layer in layers})


def _on_its_base(spec: ResolvedSpec, config: dict[str, Any], title: str) -> ResolvedSpec:
    """The spec with the model that the adapter is of."""
    assert spec.start_from is not None, "else there is no adapter"
    theirs, own = config.get("base_model_name_or_path") or "", spec.model.uri
    if own == spec.start_from.uri:
        if not theirs or theirs.startswith(("/", ".")):
            raise ConfigurationInvalid(
                f"model: {title} is an adapter and doesn't tell of which model ({theirs!r}): name it."
            )
        at = f"@{config['revision']}" if config.get("revision") else ""
        base = theirs if "://" in theirs else f"hf://{theirs}{at}"
        return spec.deciding({"model.uri": (base, f"startFrom {title}")})
    named = own.removeprefix("hf://").partition("@")[0]
    is_name = "://" in theirs or (theirs.count("/") == 1 and not theirs.startswith(("/", ".")))
    if is_name and theirs.removeprefix("hf://").partition("@")[0] != named:
        raise ConfigurationInvalid(
            f"model is {own}, the adapter of {title} is of {theirs}: leave model out, or name that."
        )
    return spec


@torch.no_grad()
def set_adapter(model: Any, folder: Path, title: str) -> None:
    """Gives the model's adapter the stored weights. Raises ConfigurationInvalid where layers or shapes are others."""
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    stored, here = load_file(folder / TENSORS), get_peft_model_state_dict(model, save_embedding_layers=False)
    for name in sorted(stored.keys() | here.keys()):
        shapes = [list(some[name].shape) if name in some else "nothing" for some in (stored, here)]
        if shapes[0] != shapes[1]:
            raise ConfigurationInvalid(
                f"startFrom: {title} has {shapes[0]} as {name}, this job trains {shapes[1]}: method, its settings and model must be those "
                "that it was trained with."
            )
    set_peft_model_state_dict(model, stored)
