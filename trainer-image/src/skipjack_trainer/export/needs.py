"""What a run needed, as it was measured, and what Full would have needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from skipjack.api.v1alpha1.dataset import Task
from skipjack.api.v1alpha1.method import MethodType
from skipjack.planner import full_peak_bytes, stored_bytes, training_flops
from skipjack.resolve import ResolvedSpec

from ..quantize import elements, held_bytes

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Size:
    """A model's, before a method is attached to it."""

    parameters: int
    multiplied: int
    """Those of them that each token is multiplied with: all but embeddings that are only looked up."""
    held_bytes: int

    @classmethod
    def of(cls, model: Any) -> Size:
        head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
        tables = {id(layer.weight) for layer in model.modules() if isinstance(layer, torch.nn.Embedding)}
        tables.discard(id(getattr(head, "weight", None)))
        counts = [(elements(parameter), id(parameter) not in tables) for parameter in model.parameters()]
        return cls(
            sum(count for count, _ in counts),
            sum(count for count, multiplies in counts if multiplies),
            sum(map(held_bytes, model.parameters())),
        )


@dataclass(frozen=True, slots=True)
class Ran:
    """What was measured of a run, over all its processes."""

    base: Size
    trainable: int
    total: int
    curve: Sequence[Mapping[str, float]]
    peak_memory_mib: float
    """Of the process that held most."""
    world: int


def needs(spec: ResolvedSpec, ran: Ran) -> dict[str, float]:
    """What the run needed; `full_…`: what Full would have, on the same rows."""
    tokens, seconds = (sum(entry[key] for entry in ran.curve) for key in ("tokens", "seconds"))
    told = {
        "trainable_parameters": float(ran.trainable),
        "total_parameters": float(ran.total),
        "trainable_percent": 100 * ran.trainable / ran.total,
        "peak_memory_mib": round(ran.peak_memory_mib, 1),
        "tokens": float(tokens),
        "tokens_per_second": round(tokens / seconds, 1),
    }
    if spec.compute.accelerators_per_node:
        told["accelerator_seconds"] = round(seconds * ran.world, 2)
    else:
        told["cpu_seconds"] = round(sum(entry["cpuSeconds"] for entry in ran.curve), 2)
    is_full = spec.method.type is MethodType.FULL
    # An image's layers slide over it: there tokens don't tell how often a weight is multiplied with.
    if spec.task is not Task.TEXT_TO_IMAGE:
        frozen, trained = (0, ran.base.multiplied) if is_full else (ran.base.multiplied, ran.trainable)
        told["flops"] = training_flops(frozen, trained, tokens)
        told |= {} if is_full else {"full_flops": training_flops(0, ran.base.multiplied, tokens)}
    return told if is_full else told | of_full(spec, ran)


def of_full(spec: ResolvedSpec, ran: Ran) -> dict[str, float]:
    base = ran.base
    peak = full_peak_bytes(
        ran.peak_memory_mib * MIB, base.held_bytes, ran.trainable, base.parameters, spec.compute.strategy, ran.world
    )
    return {
        "full_trainable_parameters": float(base.parameters),
        "full_peak_memory_mib": round(peak / MIB, 1),
        "full_output_mib": round(stored_bytes(base.parameters) / MIB, 3),
    }


def output_mib(folder: Path) -> float:
    """Of the weights in it."""
    return round(sum(file.stat().st_size for file in folder.rglob("*.safetensors")) / MIB, 3)


ROWS = {
    "trained parameters": "trainable_parameters",
    "peak memory of a process, MiB": "peak_memory_mib",
    "floating-point operations": "flops",
    "weights stored, MiB": "output_mib",
}


def table(spec: ResolvedSpec, metrics: Mapping[str, float]) -> str:
    """The same for people, in Markdown."""
    name = spec.method.type.value
    rows = [
        f"| {what} | {metrics[key]:,.6g} | {metrics[f'full_{key}']:,.6g} | {metrics[key] / metrics[f'full_{key}']:.1%} |"
        for what, key in ROWS.items()
        if key in metrics and f"full_{key}" in metrics
    ]
    if not rows:
        return ""
    return (
        f"\n## Beside full fine-tuning\n| what | {name} | Full would have | share |\n| --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n\nMemory of Full: what was measured here, with 16 bytes for every parameter (weight, gradient, two moments in fp32) in place of what "
        f"{name} holds. Operations: 6 a parameter and token where it is trained, 4 where it is frozen; attention's own are left out.\n"
    )
