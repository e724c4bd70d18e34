"""Examples → tensors of a micro-batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..data.example import Example
from ..data.packing import pack, pad
from ..fast.attention import Segments
from ..tasks.base import MicroBatch


def group(examples: Sequence[Example], indices: Sequence[int], budget_tokens: int, packing: bool) -> list[list[int]]:
    """`indices`, in groups that each make one micro-batch."""
    lengths = [len(examples[index]) for index in indices]
    groups = pack(lengths, budget_tokens) if packing else pad(lengths, budget_tokens)
    return [[indices[position] for position in positions] for positions in groups]


def packed(examples: Sequence[Example], device: torch.device) -> MicroBatch:
    """[1, T]: one after the other, kept apart by their segments."""
    ids = np.concatenate([example.input_ids for example in examples])[None]
    weights = np.concatenate([example.weights for example in examples])[None]
    positions = np.concatenate([np.arange(len(example)) for example in examples])[None]
    lengths = tuple(len(example) for example in examples)
    return _batch(ids, weights, device, position_ids=on(device, positions), segments=Segments.of(lengths, device))


def padded(examples: Sequence[Example], device: torch.device) -> MicroBatch:
    """[n, L], filled up at the right."""
    shape = (len(examples), max(len(example) for example in examples))
    ids, weights, mask = np.zeros(shape, np.int64), np.zeros(shape, np.float32), np.zeros(shape, np.int64)
    for row, example in enumerate(examples):
        ids[row, : len(example)] = example.input_ids
        weights[row, : len(example)] = example.weights
        mask[row, : len(example)] = 1
    return _batch(ids, weights, device, attention_mask=on(device, mask))


def _batch(ids: np.ndarray, weights: np.ndarray, device: torch.device, **places: Any) -> MicroBatch:
    learnt = on(device, np.flatnonzero(weights))
    return MicroBatch(on(device, ids.astype(np.int64)), on(device, weights), learnt, float(weights.sum()), **places)


def on(device: torch.device, values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).to(device)
