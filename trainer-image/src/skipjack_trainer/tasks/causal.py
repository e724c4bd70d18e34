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
from ..fast.loss import linear_cross_entropy, token_cross_entropy
from ..model import head_of, keeps_logits
from ..shape import Head
from .base import MicroBatch, Recipe
from .generate import answer

CHUNK = 1024
"""Rows of logits that are in fp32 at a time: bounds memory at 4·CHUNK·vocabulary bytes."""


def batch(examples: Sequence[Example], packing: bool, device: torch.device) -> MicroBatch:
    return packed(examples, device) if packing else padded(examples, device)


def packed(examples: Sequence[Example], device: torch.device) -> MicroBatch:
    """[1, T]: one sequence after the other, kept apart by their segments."""
    ids = np.concatenate([example.input_ids for example in examples])[None]
    weights = np.concatenate([example.weights for example in examples])[None]
    lengths = tuple(length for example in examples for length in example.parts)
    positions = np.concatenate([np.arange(length) for length in lengths])[None]
    return _batch(ids, weights, device, position_ids=on(device, positions), segments=Segments.of(lengths, device))


def padded(examples: Sequence[Example], device: torch.device) -> MicroBatch:
    """[n, L]: one sequence a row, filled up at the right."""
    sequences = [sequence for example in examples for sequence in example.sequences()]
    shape = (len(sequences), max(len(ids) for ids, _ in sequences))
    ids, weights, mask = np.zeros(shape, np.int64), np.zeros(shape, np.float32), np.zeros(shape, np.int64)
    for row, (its_ids, its_weights) in enumerate(sequences):
        ids[row, : len(its_ids)] = its_ids
        weights[row, : len(its_ids)] = its_weights
        mask[row, : len(its_ids)] = 1
    return _batch(ids, weights, device, attention_mask=on(device, mask))


def _batch(ids: np.ndarray, weights: np.ndarray, device: torch.device, **places: Any) -> MicroBatch:
    learnt = on(device, np.flatnonzero(weights))
    return MicroBatch(on(device, ids.astype(np.int64)), on(device, weights), learnt, float(weights.sum()), **places)


def on(device: torch.device, values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).to(device)


def loss(model: Any, batch: MicroBatch, spec: ResolvedSpec) -> tuple[torch.Tensor, float]:
    """Sum of weighted cross-entropies in nats, and the sum of the weights."""
    smoothing = smoothing_of(model, spec)
    if (split := head_of(model)) is not None:
        hidden, head, labels = before_head(split, batch)
        weights = batch.weights.flatten()[batch.learnt]
        return linear_cross_entropy(hidden, head, labels, weights, smoothing), batch.weight
    losses, weights = from_logits(model, batch, smoothing)
    return (losses * weights).sum(), batch.weight


def smoothing_of(model: Any, spec: ResolvedSpec) -> float:
    """Of the targets in training alone: held-out losses stay comparable."""
    return spec.hyperparameters.label_smoothing if model.training else 0.0


def token_losses(model: Any, batch: MicroBatch) -> torch.Tensor:
    """fp32 [learnt]: the cross-entropy of each learnt token in nats, whatever its weight."""
    if (split := head_of(model)) is not None:
        return token_cross_entropy(*before_head(split, batch))
    losses, weights = from_logits(model, batch)
    return losses[weights != 0]


def before_head(
    split: tuple[torch.nn.Module, torch.nn.Linear], batch: MicroBatch
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(what learnt tokens are told from [learnt, h], the head's weight, the tokens [learnt])."""
    backbone, head = split
    hidden = backbone(batch.input_ids, **batch.places(), use_cache=False).last_hidden_state.flatten(0, 1)
    return hidden[batch.learnt - 1], head.weight, batch.input_ids.flatten()[batch.learnt]


def from_logits(model: Any, batch: MicroBatch, smoothing: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropies and weights of all tokens in a column where one is learnt, for models whose head does more than multiply: only
    the model itself knows its logits."""
    columns = batch.weights.any(dim=0).nonzero().squeeze(1)
    # Counted from the end: virtual tokens before the text have logits too.
    before = columns - 1 - batch.input_ids.shape[1]
    if keeps_logits(model):
        logits = model(batch.input_ids, **batch.places(), use_cache=False, logits_to_keep=before).logits
    else:
        logits = model(batch.input_ids, **batch.places(), use_cache=False).logits[:, before]
    labels = batch.input_ids[:, columns].flatten()
    losses = [
        cross_entropy(rows.float(), targets, reduction="none", label_smoothing=smoothing)
        for rows, targets in zip(logits.flatten(0, 1).split(CHUNK), labels.split(CHUNK), strict=True)
    ]
    return torch.cat(losses), batch.weights[:, columns].flatten()


CAUSAL = Recipe(Head.NEXT_TOKEN, batch, loss, answer=answer)
