"""Sequence-to-sequence models: a source is read, and each token of its target is predicted from those before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from skipjack.resolve import ResolvedSpec

from ..data.example import PARTS, Example
from ..shape import Head
from .base import Recipe, Subject
from .causal import CHUNK, smoothing_of
from .generate import answer, generate, side_by_side
from .measures import words as measures

NOTHING = -100
"""Where there is no label: models' own helpers make padding of it."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """`input_ids`, `attention_mask` [n, S] of the sources, `labels`, `weights` [n, T] of the targets, filled up at the right."""

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    weight: float
    """Sum of `weights`."""


def batch(examples: Sequence[Example], packing: bool, device: torch.device) -> Pairs:
    ids, mask = side_by_side([source_of(example) for example in examples], fill_before=False)
    lengths = [int(example.beside[PARTS][1]) for example in examples]
    labels = torch.full((len(examples), max(lengths)), NOTHING)
    weights = torch.zeros(labels.shape)
    for row, (example, length) in enumerate(zip(examples, lengths, strict=True)):
        labels[row, :length] = torch.from_numpy(example.input_ids[-length:].astype(np.int64))
        weights[row, :length] = torch.from_numpy(example.weights[-length:].copy())
    return Pairs(ids.to(device), mask.to(device), labels.to(device), weights.to(device), float(weights.sum()))


def source_of(example: Example) -> np.ndarray:
    return example.input_ids[: example.beside[PARTS][0]]


def loss(model: Any, batch: Pairs, spec: ResolvedSpec) -> tuple[torch.Tensor, float]:
    """Sum of weighted cross-entropies in nats, and the sum of the weights."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    out = model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        decoder_input_ids=base.prepare_decoder_input_ids_from_labels(labels=batch.labels),
        use_cache=False,
    )
    is_learnt = batch.weights > 0
    # Counted from the end: virtual tokens before the target have logits too.
    logits = out.logits[:, -batch.labels.shape[1] :][is_learnt]
    labels, weights = batch.labels[is_learnt], batch.weights[is_learnt]
    smoothing = smoothing_of(model, spec)
    total = torch.zeros((), dtype=torch.float32, device=logits.device)
    for start in range(0, len(labels), CHUNK):
        part = slice(start, start + CHUNK)
        losses = cross_entropy(logits[part].float(), labels[part], reduction="none", label_smoothing=smoothing)
        total = total + (losses * weights[part]).sum()
    return total, batch.weight


def predict(subject: Subject, examples: Sequence[Example]) -> list[str]:
    sources = side_by_side([source_of(example) for example in examples], fill_before=False)
    return [said.strip() for said in generate(subject, *sources)]


COMPLETION = Recipe(Head.OTHER_SEQUENCE, batch, loss, answer=answer)
TRANSLATION = replace(COMPLETION, predict=predict, score=measures.translations)
ANSWERS = replace(COMPLETION, predict=predict, score=measures.answers)
