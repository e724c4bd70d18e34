"""Next-token loss of causal models, for chats and documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from skipjack.resolve import ResolvedSpec

from ..data.example import Example
from ..fast.attention import Segments
from ..fast.loss import linear_cross_entropy
from ..model import head_of, keeps_logits
from ..shape import Head
from .base import MicroBatch, Recipe
from .generate import answer

CHUNK = 1024
"""Rows of logits that are in fp32 at a time: bounds memory at 4·CHUNK·vocabulary bytes."""


def batch(examples: Sequence[Example], packing: bool, device: torch.device) -> MicroBatch:
    return packed(examples, device) if packing else padded(examples, device)


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


def loss(model: Any, batch: MicroBatch, spec: ResolvedSpec) -> tuple[torch.Tensor, float]:
    """Sum of weighted cross-entropies in nats, and the sum of the weights."""
    places = batch.places()
    if (split := head_of(model)) is not None:
        backbone, head = split
        hidden = backbone(batch.input_ids, **places, use_cache=False).last_hidden_state.flatten(0, 1)
        labels, weights = batch.input_ids.flatten()[batch.learnt], batch.weights.flatten()[batch.learnt]
        return linear_cross_entropy(hidden[batch.learnt - 1], head.weight, labels, weights), batch.weight
    return _from_logits(model, batch, places), batch.weight


def _from_logits(model: Any, batch: MicroBatch, places: dict[str, Any]) -> torch.Tensor:
    """For models whose head does more than multiply: only the model itself knows its logits."""
    columns = batch.weights.any(dim=0).nonzero().squeeze(1)
    # Counted from the end: virtual tokens before the text have logits too.
    before = columns - 1 - batch.input_ids.shape[1]
    if keeps_logits(model):
        logits = model(batch.input_ids, **places, use_cache=False, logits_to_keep=before).logits
    else:
        logits = model(batch.input_ids, **places, use_cache=False).logits[:, before]
    weights = batch.weights[:, columns].flatten()
    labels = batch.input_ids[:, columns].flatten()
    rows = logits.flatten(0, 1)
    total = torch.zeros((), dtype=torch.float32, device=rows.device)
    for start in range(0, len(labels), CHUNK):
        part = slice(start, start + CHUNK)
        total = total + (cross_entropy(rows[part].float(), labels[part], reduction="none") * weights[part]).sum()
    return total


CAUSAL = Recipe(Head.NEXT_TOKEN, batch, loss, answer=answer)
