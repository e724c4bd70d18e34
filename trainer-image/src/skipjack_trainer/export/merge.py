"""What was learnt, within the base model's own weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..methods.boft import compile_nothing
from ..quantize import dequantize


def merge(base: Any, adapter: Path) -> Any:
    """The base model with the stored adapter merged into its weights, in fp32."""
    return adapted(base, adapter).merge_and_unload()


def adapted(base: Any, adapter: Path) -> Any:
    """The base model with the stored adapter beside its weights, in fp32, to be merged.

    A quantised base is dequantised first: merged into 4 bits most of what was learnt is lost, merged into the weights from before
    they were quantised it meets other weights than those it was trained with.
    """
    from peft import PeftModel

    compile_nothing()
    whole = dequantize(base) if getattr(base, "is_quantized", False) else base
    return PeftModel.from_pretrained(whole.float(), str(adapter))
