"""What a result can be written as. One file each, behind one interface."""

from __future__ import annotations

from typing import Any

from skipjack.api.v1alpha1.formats import FormatType
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.formats import as_trained
from skipjack.resolve.resolved import ResolvedFormat

from ...errors import ConfigurationInvalid
from ...shape import Head
from . import gguf, merged, onnx
from .base import Format

FORMATS: dict[FormatType, Format] = {
    FormatType.MERGED: merged.MERGED,
    FormatType.ONNX: onnx.ONNX,
    FormatType.GGUF: gguf.GGUF,
}
"""Those that are made of what was trained. That itself is always stored."""


def to_make(spec: ResolvedSpec) -> list[ResolvedFormat]:
    """Those that were asked for and aren't what is stored anyway."""
    return [wanted for wanted in spec.output.formats if wanted.type is not as_trained(spec.method.type)]


def refuse_formats(spec: ResolvedSpec, config: Any, tokenizer: Any, head: Head) -> None:
    """Raises ConfigurationInvalid before anything is trained, where such a model can't be written so."""
    made = to_make(spec)
    for place, wanted in enumerate(spec.output.formats):
        reason = FORMATS[wanted.type].refusal(config, tokenizer, head, wanted.quantization) if wanted in made else None
        if reason:
            raise ConfigurationInvalid(f"output.formats[{place}]: {wanted.title} can't hold this model: {reason}.")


__all__ = ["FORMATS", "Format", "refuse_formats", "to_make"]
