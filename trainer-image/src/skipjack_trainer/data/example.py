"""What a task learns from: tokens, and how much each one's prediction counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Example:
    """`input_ids` int32 [length]; `weights` float32 [length], where weights[i] is the loss weight of predicting
    input_ids[i] from what stands before it. weights[0] is 0: nothing stands before the first token."""

    input_ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    place: str = ""
    """The file and line that it comes from."""

    def __len__(self) -> int:
        return len(self.input_ids)


def fingerprint(examples: Iterable[Example]) -> str:
    """Differs when any token, weight or their order does."""
    whole = hashlib.sha256()
    for example in examples:
        whole.update(len(example).to_bytes(8, "little") + example.input_ids.tobytes() + example.weights.tobytes())
    return whole.hexdigest()
