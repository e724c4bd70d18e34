"""Next-token loss of causal models, for chats and documents."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from ..fast.loss import linear_cross_entropy
from ..model import head_of, keeps_logits
from .base import MicroBatch

CHUNK = 1024
"""Rows of logits that are in fp32 at a time: bounds memory at 4·CHUNK·vocabulary bytes."""


def loss(model: Any, batch: MicroBatch) -> tuple[torch.Tensor, float]:
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
