"""What a result is written as, beside what was trained."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from .common import APIModel
from .rules import Rule


class FormatType(StrEnum):
    ADAPTER = "Adapter"
    MERGED = "Merged"
    ONNX = "ONNX"
    GGUF = "GGUF"


class FormatQuantization(StrEnum):
    INT4 = "INT4"
    F32 = "F32"
    F16 = "F16"
    BF16 = "BF16"
    Q8_0 = "Q8_0"


QUANTIZATIONS: dict[FormatType, tuple[FormatQuantization, ...]] = {
    FormatType.ONNX: (FormatQuantization.INT4,),
    FormatType.GGUF: (FormatQuantization.F16, FormatQuantization.F32, FormatQuantization.BF16, FormatQuantization.Q8_0),
}
"""Those of a type that has any."""


class OutputFormat(APIModel):
    """One form of the result."""

    rules: ClassVar = (
        Rule(
            "!has(self.quantization) || (self.type == 'ONNX' && self.quantization == 'INT4') || (self.type == 'GGUF' && self.quantization != 'INT4')",
            lambda own: own.quantization is None or own.quantization in QUANTIZATIONS.get(own.type, ()),
            "quantization is INT4 for ONNX, and F16, F32, BF16 or Q8_0 for GGUF; Adapter and Merged have none: choose one of these, or remove it",
        ),
    )
    type: FormatType = Field(
        description="Adapter: what was trained, as PEFT has it. Merged: the whole model, in safetensors. ONNX: for ONNX Runtime. GGUF: for llama.cpp."
    )
    quantization: FormatQuantization | None = Field(
        None,
        description="INT4 for ONNX, else its weights are in 32 bits. F16 (the default), F32, BF16 or Q8_0 for GGUF.",
    )


def as_written(own: OutputFormat) -> tuple[FormatType, FormatQuantization | None]:
    """With the quantization that it has where none is said."""
    usual = FormatQuantization.F16 if own.type is FormatType.GGUF else None
    return own.type, own.quantization or usual


_WRITTEN = "(has({0}.quantization) ? {0}.quantization : {0}.type == 'GGUF' ? 'F16' : '')"
ONE_OF_EACH_FORMAT = Rule(
    f"self.all(one, self.exists_one(other, other.type == one.type && {_WRITTEN.format('other')} == {_WRITTEN.format('one')}))",
    lambda entries: len(set(map(as_written, entries))) == len(entries),
    "each format is written once in each quantization, and GGUF is F16 where none is said: remove the others",
)
Formats = Annotated[list[OutputFormat], Field(max_length=8), ONE_OF_EACH_FORMAT]
