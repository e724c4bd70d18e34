"""For ONNX Runtime: causal models as onnxruntime-genai generates with them, others as the graph of one pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.formats import FormatQuantization

from ...shape import Head
from ..onnx import genai, graph
from ..samples import Difference
from ..whole import Whole
from .base import EXACT, SHARES, Bound, Format, Quantization

WRITTEN_HERE = frozenset({"phi3small"})
"""Families whose layers are our own: no tracer has seen them."""

APPROXIMATE = Bound(1e-2)
"""ONNX Runtime approximates Gemma's GELU."""


def refusal(config: Any, tokenizer: Any, head: Head, quantization: Quantization) -> str | None:
    if config.model_type in WRITTEN_HERE:
        return f"a {config.model_type} has layers of its own that aren't traced yet; choose Merged"
    if quantization is FormatQuantization.INT4 and not genai.builds(config, head):
        return f"it is a {config.model_type}, and in 4 bits models that predict the next token are written of {', '.join(genai.FAMILIES)}"
    return genai.refusal(config) if genai.builds(config, head) else None


def write(whole: Whole, quantization: Quantization, folder: Path) -> None:
    if genai.builds(whole.config, whole.head):
        genai.write(whole, "int4" if quantization else "fp32", folder)
    else:
        graph.write(whole, folder)


def differs(whole: Whole, quantization: Quantization, folder: Path) -> Difference:
    if genai.builds(whole.config, whole.head):
        return genai.differs(whole, folder, is_exact=quantization is None)
    return graph.differs(whole, folder)


def bound(whole: Whole, quantization: Quantization) -> Bound:
    if quantization:
        return SHARES[quantization]
    return APPROXIMATE if whole.config.model_type.startswith("gemma") else EXACT


ONNX = Format(refusal, write, differs, bound)
