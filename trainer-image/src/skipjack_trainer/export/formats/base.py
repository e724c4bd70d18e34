"""The interface of a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.formats import FormatQuantization

from ...shape import Head
from ..whole import Whole

Quantization = FormatQuantization | None


@dataclass(frozen=True, slots=True)
class Format:
    """One form of a model. Libraries that it alone needs are imported within its functions: other jobs don't wait for them."""

    refusal: Callable[[Any, Any, Head, Quantization], str | None]
    """(config, tokenizer, head, quantization) → why such a model can't be written so, as the end of a sentence; with what can."""
    write: Callable[[Whole, Quantization, Path], None]
    """Into an empty folder."""
    differs: Callable[[Whole, Quantization, Path], float]
    """Runs what was written by its own reader: the greatest difference from what the model as it was trained said."""
    close: Callable[[Whole, Quantization], float]
    """How great that may be."""


SHARES: Mapping[Quantization, float] = {
    FormatQuantization.F16: 0.05,
    FormatQuantization.BF16: 0.25,
    FormatQuantization.Q8_0: 0.4,
    FormatQuantization.INT4: 2.0,
}
"""What rounding weights may change of logits, as a share of their standard deviation: some four times what was seen of tiny random models and
of SmolLM2 (docs/exports.md has the figures). A tensor at the wrong place changes them by several times that."""
