"""One step's examples → groups of them that each make one forward pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from skipjack.resolve import ResolvedSpec

from ..data.example import Example
from ..data.packing import pack, pad
from ..model import turns_otherwise_beyond

CHUNK = 1024
"""Examples that micro-batches are made of at a time: of all of a large dataset, memory would hold them all, and it would take the square
of their number."""


def chunks(indices: Sequence[int]) -> Iterator[Sequence[int]]:
    """The indices in their order, so many at a time."""
    return (indices[begin : begin + CHUNK] for begin in range(0, len(indices), CHUNK))


def grouped(examples: Sequence[Example], indices: Sequence[int], spec: ResolvedSpec, config: Any) -> list[list[int]]:
    """`indices`, in groups that each make one micro-batch of the model of that config. The same for every number of ranks."""
    budget = spec.compute.micro_batch_tokens
    assert budget is not None, "resolve_data settles it"
    limit = turns_otherwise_beyond(config) or math.inf
    sides = ([index for index in indices if (examples[index].longest > limit) is long] for long in (False, True))
    return [members for side in sides for members in group(examples, side, budget, spec.dataset.packing)]


def group(examples: Sequence[Example], indices: Sequence[int], budget_tokens: int, packing: bool) -> list[list[int]]:
    """`indices`, in groups within the budget."""
    some = [examples[index] for index in indices]
    if packing:
        groups = pack([len(example) for example in some], budget_tokens)
    else:
        # Each sequence is a row, as long as the longest.
        groups = pad([len(example.parts) * example.longest for example in some], budget_tokens)
    return [[indices[position] for position in positions] for positions in groups]
