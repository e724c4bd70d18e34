"""The method: its settings and where each came from, and what it refuses."""

from __future__ import annotations

from typing import Any

from pydantic.alias_generators import to_camel

from ..api.v1alpha1.compute import Strategy
from ..api.v1alpha1.method import Method, MethodType, QuantizationType, block_of
from ..methods import METHODS, Base, MethodDefaults
from .catalogue import SpecRefused
from .choices import Choices

MULTIPLES = {1.0: "the rank", 2.0: "twice the rank"}


def default_of(own: Method | None) -> str:
    """The origin of what the method alone decides."""
    return default_of_type(own.type if own else MethodType.LORA)


def default_of_type(kind: MethodType) -> str:
    return f"default of {kind.value}"


def resolve_method(
    own: Method | None, compute: dict[str, Any], choices: Choices
) -> tuple[dict[str, Any], MethodDefaults]:
    """The method as the resolved spec holds it, and what it says of itself. Raises SpecRefused."""
    kind = choices.choose("method.type", own and own.type, MethodType.LORA)
    method = METHODS[kind]
    _refuse_compute(kind, method, compute)
    told = {"type": kind, "quantization": _quantization(own, kind, method, choices)}
    block = block_of(kind)
    return (told | {block: _settings(own, kind, method, block, choices)} if block else told), method


def _refuse_compute(kind: MethodType, method: MethodDefaults, compute: dict[str, Any]) -> None:
    """Raises SpecRefused where the method can't be trained as `compute` says."""
    strategy = compute["strategy"].value
    if strategy in method.refuses_strategies:
        able = ", ".join(known.value for known in Strategy if known.value not in method.refuses_strategies)
        raise SpecRefused(
            "StrategyUnsupported",
            f"spec.compute.strategy: {kind.value} can't be trained under {strategy}: {method.refuses_strategies[strategy]}; "
            f"choose {able}, or another method.",
        )
    if compute["gradient_checkpointing"] and not method.checkpoints_gradients:
        raise SpecRefused(
            "GradientCheckpointingUnsupported",
            f"spec.compute.gradientCheckpointing: {kind.value} can't compute activations again: leave it out, or choose another method.",
        )


def _settings(
    own: Method | None, kind: MethodType, method: MethodDefaults, block: str, choices: Choices
) -> dict[str, Any]:
    said = getattr(own, block) if own else None
    given = (
        {name: getattr(said, name) for name in said.model_fields_set if getattr(said, name) is not None} if said else {}
    )
    _refuse_foreign(given, kind, method, block)
    origin = default_of(own)
    settings = {
        name: choices.choose(f"method.{block}.{name}", given.get(name), default, origin)
        for name, default in method.settings.items()
    }
    if "alpha" in settings and settings["alpha"] is None and settings.get("rank_stabilized"):
        settings["alpha"] = METHODS[MethodType.RSLORA].settings["alpha"]
        choices.origins[f"method.{block}.alpha"] = "default of RsLoRA"
    elif "alpha" in settings and settings["alpha"] is None:
        settings["alpha"] = method.alpha_per_rank * settings["rank"]
        multiple = MULTIPLES.get(method.alpha_per_rank, f"{method.alpha_per_rank:g} times the rank")
        choices.origins[f"method.{block}.alpha"] = multiple
    for name in method.implied:
        choices.origins[f"method.{block}.{name}"] = f"what {kind.value} is"
    return {**settings, **method.implied}


def _refuse_foreign(given: dict[str, Any], kind: MethodType, method: MethodDefaults, block: str) -> None:
    """Raises SpecRefused for a setting that the method hasn't, or that it says itself, otherwise."""
    for name, value in sorted(given.items()):
        field = f"spec.method.{block}.{to_camel(name)}"
        if name in method.implied:
            if value != method.implied[name]:
                fixed = str(method.implied[name]).lower()
                raise SpecRefused(
                    "SettingContradicted", f"{field}: type {kind.value} means {fixed}: remove it, or choose LoRA."
                )
        elif name not in method.settings:
            known = ", ".join(to_camel(known) for known in method.settings)
            raise SpecRefused(
                "SettingUnknown",
                f"{field}: {kind.value} has no such setting, it has {known}: remove it, or choose another type.",
            )


def _quantization(
    own: Method | None, kind: MethodType, method: MethodDefaults, choices: Choices
) -> dict[str, Any] | None:
    said = own.quantization if own else None
    if said is not None and method.base is Base.AS_IT_IS:
        able = ", ".join(k.value for k, m in METHODS.items() if m.base is not Base.AS_IT_IS)
        raise SpecRefused(
            "QuantizationUnsupported",
            f"spec.method.quantization: {kind.value} can't learn on a quantised base: remove it, or choose one of {able}.",
        )
    if said is None and method.base is not Base.QUANTIZED:
        return None
    origin = default_of(own)
    return {
        "type": choices.choose("method.quantization.type", said and said.type, QuantizationType.NF4, origin),
        "double_quant": choices.choose("method.quantization.double_quant", said and said.double_quant, True, origin),
    }
