"""The hardware, and how a model is laid out on it."""

from __future__ import annotations

from typing import Any

from ..api.v1alpha1.compute import Compute, Precision, Strategy
from ..api.v1alpha1.nodetype import NodeTypeSpec
from .catalogue import Catalogue, SpecRefused
from .choices import OWN, Choices

BEST_FIRST = (Precision.BF16, Precision.FP16, Precision.FP32)


def resolve_compute(own: Compute, catalogue: Catalogue, choices: Choices) -> dict[str, Any]:
    """The hardware as the resolved spec holds it. Raises SpecRefused."""
    found, origin = catalogue.node_type(own.node_type)
    kind = found.spec
    choices.origins["compute.node_type"] = OWN if own.node_type else origin
    has = kind.accelerator.count if kind.accelerator else 0
    if own.accelerators_per_node and own.accelerators_per_node > has:
        raise SpecRefused(
            "AcceleratorsUnavailable",
            f"spec.compute.acceleratorsPerNode: {own.accelerators_per_node} asked for, a node of type {found.name} has {has}: "
            f"{'ask for fewer or ' if has else 'leave it out or '}name another nodeType.",
        )
    accelerators = choices.choose(
        "compute.accelerators_per_node", own.accelerators_per_node, has, f"NodeType {found.name}"
    )
    return {
        "node_type": found.name,
        "nodes": choices.choose("compute.nodes", own.nodes, 1),
        "processes_per_node": max(1, accelerators),
        "accelerator_resource": kind.accelerator.resource if kind.accelerator else None,
        "accelerators_per_node": accelerators,
        "cpu": kind.cpu,
        "cpu_limit": kind.cpu_limit or kind.cpu,
        "memory": kind.memory,
        "precision": _precision(own.precision, kind, found.name, choices),
        "strategy": choices.choose("compute.strategy", own.strategy, Strategy.DDP),
        "offload": {
            key: choices.choose(f"compute.offload.{key}", own.offload and getattr(own.offload, key), None)
            for key in ("optimizer", "parameters")
        },
        "gradient_checkpointing": choices.choose("compute.gradient_checkpointing", own.gradient_checkpointing, False),
        "micro_batch_tokens": choices.choose(
            "compute.micro_batch_tokens", own.micro_batch_tokens, None, "told by the data"
        ),
    }


def _precision(own: Precision | None, kind: NodeTypeSpec, name: str, choices: Choices) -> Precision:
    if own and own not in kind.precisions:
        has = ", ".join(p.value for p in kind.precisions)
        raise SpecRefused(
            "PrecisionUnavailable",
            f"spec.compute.precision: NodeType {name} has no {own.value}, it has {has}: choose one, or another nodeType.",
        )
    best = next(precision for precision in BEST_FIRST if precision in kind.precisions)
    chosen: Precision = choices.choose("compute.precision", own, best, f"NodeType {name}")
    return chosen
