"""What tasks with labels have in common: padded batches, and logits that no padding changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..data.example import Example
from ..data.writers.encode import TOKEN_TYPES
from .base import Subject


@dataclass(frozen=True, slots=True)
class Labelled:
    """One forward pass of n texts, filled up at the right to the longest, L."""

    input_ids: torch.Tensor
    """int64 [n, L]"""
    attention_mask: torch.Tensor
    """int64 [n, L]"""
    token_types: torch.Tensor
    """int64 [n, L]"""
    targets: torch.Tensor
    """What the task's loss compares logits with."""
    weights: torch.Tensor
    """float32, as many as there are targets."""
    weight: float
    """Their sum."""


def labelled(examples: Sequence[Example], targets: np.ndarray, weights: np.ndarray, device: torch.device) -> Labelled:
    ids = filled([example.input_ids for example in examples])
    types = filled([example.beside[TOKEN_TYPES] for example in examples])
    mask = filled([np.ones(len(example)) for example in examples])
    arrays = (ids, mask, types, targets)
    tensors = [torch.from_numpy(array).to(device) for array in arrays]
    return Labelled(*tensors, torch.from_numpy(weights).to(device), float(weights.sum()))


def filled(rows: Sequence[np.ndarray]) -> np.ndarray:
    """int64 [n, L], with zeros at the right."""
    whole = np.zeros((len(rows), max(map(len, rows))), np.int64)
    for number, row in enumerate(rows):
        whole[number, : len(row)] = row
    return whole


def logits(model: Any, batch: Labelled) -> torch.Tensor:
    """fp32 logits of the model's head."""
    config, kept = model.config, batch.attention_mask.bool()
    ids = batch.input_ids if config.pad_token_id is None else batch.input_ids.masked_fill(~kept, config.pad_token_id)
    beside = {"token_type_ids": batch.token_types} if getattr(config, "type_vocab_size", 0) > 1 else {}
    if not _takes_last_of_any(model):
        told = model(input_ids=ids, attention_mask=batch.attention_mask, **beside).logits
    else:
        rows = [
            model(input_ids=row[None, :length], attention_mask=torch.ones_like(row[None, :length])).logits
            for row, length in zip(ids, batch.attention_mask.sum(dim=1).tolist(), strict=True)
        ]
        told = torch.cat(rows)
    fp32: torch.Tensor = told.float()
    return fp32


def _takes_last_of_any(model: Any) -> bool:
    """Whether the head looks at the last token, and the model is given embeddings, by which padding can't be told: transformers then
    takes the last of them, whatever it is. Prompt tuning and p-tuning do so, and rows must go one by one."""
    adapter = getattr(model, "active_peft_config", None)
    by_embeddings = adapter is not None and adapter.is_prompt_learning and adapter.peft_type != "PREFIX_TUNING"
    return by_embeddings and hasattr(model.get_base_model(), "score")


def settle_padding(config: Any, tokenizer: Any) -> None:
    """A head on the last token finds it by what is no padding: the model must know what padding is."""
    if config.pad_token_id is None:
        known = tokenizer.pad_token_id
        config.pad_token_id = tokenizer.eos_token_id if known is None else known


def ask(subject: Subject, ids: Sequence[int]) -> torch.Tensor:
    """fp32 logits [1, …] for one text."""
    text = torch.tensor([ids], device=subject.device)
    zeros = torch.zeros_like(text)
    batch = Labelled(text, torch.ones_like(text), zeros, zeros, zeros.float(), 0.0)
    with subject.autocast():
        return logits(subject.model, batch)
