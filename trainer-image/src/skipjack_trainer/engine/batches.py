"""Examples → tensors of a micro-batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..data.example import Example
from ..data.packing import pack, pad
from ..tasks.base import MicroBatch


def group(examples: Sequence[Example], indices: Sequence[int], budget_tokens: int, packing: bool) -> list[list[int]]:
    """`indices`, in groups that each make one micro-batch."""
    lengths = [len(examples[index]) for index in indices]
    groups = pack(lengths, budget_tokens) if packing else pad(lengths, budget_tokens)
    return [[indices[position] for position in positions] for positions in groups]


def packed(examples: Sequence[Example], device: torch.device) -> MicroBatch:
    """[1, T]: one after the other, kept apart by their positions alone."""
    ids = np.concatenate([example.input_ids for example in examples]).astype(np.int64)
    weights = np.concatenate([example.weights for example in examples])
    positions = np.concatenate([np.arange(len(example)) for example in examples])
    return MicroBatch(
        torch.from_numpy(ids)[None].to(device),
        torch.from_numpy(weights)[None].to(device),
        position_ids=torch.from_numpy(positions)[None].to(device),
    )


def padded(examples: Sequence[Example], device: torch.device) -> MicroBatch:
    """[n, L], filled up at the right."""
    shape = (len(examples), max(len(example) for example in examples))
    ids, weights, mask = np.zeros(shape, np.int64), np.zeros(shape, np.float32), np.zeros(shape, np.int64)
    for row, example in enumerate(examples):
        ids[row, : len(example)] = example.input_ids
        weights[row, : len(example)] = example.weights
        mask[row, : len(example)] = 1
    return MicroBatch(
        torch.from_numpy(ids).to(device),
        torch.from_numpy(weights).to(device),
        attention_mask=torch.from_numpy(mask).to(device),
    )
