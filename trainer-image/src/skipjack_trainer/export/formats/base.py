"""The interface of a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.formats import FormatQuantization

from ...shape import Head
from ..samples import Difference
from ..whole import CLOSE, Whole

Quantization = FormatQuantization | None


@dataclass(frozen=True, slots=True)
class Bound:
    """Of a difference; None: not judged."""

    greatest: float | None = None
    share: float | None = None

    def exceeded(self, far: Difference) -> str | None:
        """What of it is more than may be, as the end of a sentence. NaN is."""
        if self.greatest is not None and not far.greatest <= self.greatest:
            return f"by {far.greatest:.3g} at most, more than {self.greatest:g}"
        if self.share is not None and not far.share <= self.share:
            return f"by {far.share:.1%} of what they differ from each other, more than {self.share:.0%}"
        return None


@dataclass(frozen=True, slots=True)
class Format:
    """One form of a model. Libraries that it alone needs are imported within its functions: other jobs don't wait for them."""

    refusal: Callable[[Any, Any, Head, Quantization], str | None]
    """(config, tokenizer, head, quantization) → why such a model can't be written so, as the end of a sentence; with what can."""
    write: Callable[[Whole, Quantization, Path], None]
    """Into an empty folder."""
    differs: Callable[[Whole, Quantization, Path], Difference]
    """Runs what was written by its own reader: how it differs from what the model as it was trained said."""
    bound: Callable[[Whole, Quantization], Bound]
    """How much it may."""


EXACT = Bound(CLOSE)
SHARES: Mapping[Quantization, Bound] = {
    FormatQuantization.F16: Bound(share=0.05),
    FormatQuantization.BF16: Bound(share=0.15),
    FormatQuantization.Q8_0: Bound(share=0.25),
    FormatQuantization.INT4: Bound(share=0.8),
}
"""Of weights that are rounded: two times and more of what was seen of SmolLM2-135M (F16 1 %, BF16 2 %, Q8_0 10 %, INT4 41 %); tiny random models
show less. Queries and keys that are turned the wrong way show 25 % of a tiny model, whose attention hardly matters."""
