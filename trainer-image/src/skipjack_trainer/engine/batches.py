"""One step's examples → groups of them that each make one forward pass."""

from __future__ import annotations

from collections.abc import Sequence

from ..data.example import Example
from ..data.packing import pack, pad


def group(examples: Sequence[Example], indices: Sequence[int], budget_tokens: int, packing: bool) -> list[list[int]]:
    """`indices`, in groups that each make one micro-batch."""
    lengths = [len(examples[index]) for index in indices]
    groups = pack(lengths, budget_tokens) if packing else pad(lengths, budget_tokens)
    return [[indices[position] for position in positions] for positions in groups]
