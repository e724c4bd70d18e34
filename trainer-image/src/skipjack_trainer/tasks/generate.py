"""What a model says, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from skipjack.api.v1alpha1.dataset import Task

from ..data.asked import ASKED, END
from .base import Subject


def answer(subject: Subject, prompt: str) -> str:
    """The model's answer to one of the spec's prompts: the likeliest words, or drawn as the spec says."""
    asks = subject.spec.evaluation
    # Without top_k=0 the library draws from the fifty likeliest words alone.
    drawn = {"do_sample": True, "temperature": asks.temperature, "top_p": asks.top_p, "top_k": 0}
    return generate(subject, asked(subject, prompt), **(drawn if asks.temperature else {}))[0]


def asked(subject: Subject, prompt: str) -> torch.Tensor:
    """[1, length]: a user's turn for a chat, the bare words for a completion, as the training data has them."""
    tokenizer, spec = subject.tokenizer, subject.spec
    words = (spec.dataset.instruction or "") + prompt if spec.task in ASKED else prompt
    if subject.model.config.is_encoder_decoder:
        encoded = tokenizer(words, return_tensors="pt")
    elif spec.task is not Task.COMPLETION and tokenizer.chat_template:
        chat = [{"role": "user", "content": words}]
        encoded = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
    else:
        encoded = tokenizer(words + END if spec.task in ASKED else words, return_tensors="pt")
    ids: torch.Tensor = encoded["input_ids"]
    return ids


def generate(subject: Subject, ids: torch.Tensor, mask: torch.Tensor | None = None, **drawn: Any) -> list[str]:
    """What the model says to each of `ids` [n, length], of which `mask` has 0 where there is nothing: before the words for a causal
    model, behind them for another. The likeliest words, or `drawn` from torch's generators as those options of the library say."""
    tokenizer, ids = subject.tokenizer, ids.to(subject.device)
    ends = ends_of(subject)
    with subject.autocast():
        out = subject.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids) if mask is None else mask.to(subject.device),
            max_new_tokens=subject.spec.evaluation.max_new_tokens,
            num_beams=1,
            **(drawn or {"do_sample": False}),
            use_cache=True,
            synced_gpus=subject.is_shared_out,
            eos_token_id=ends,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0],
        )
    said = out if subject.model.config.is_encoder_decoder else out[:, ids.shape[1] :]
    told: list[str] = tokenizer.batch_decode(said, skip_special_tokens=True)
    return told


def ends_of(subject: Subject) -> list[int]:
    """Tokens that end an answer: those that the model's publisher names, and the one that training data ends with."""
    known: Any = getattr(subject.model.generation_config, "eos_token_id", None)
    ends = {*(known if isinstance(known, list) else [known]), subject.tokenizer.eos_token_id} - {None}
    return sorted(ends)


def side_by_side(rows: Sequence[np.ndarray], fill_before: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask) [n, longest] of rows of tokens."""
    shape = (len(rows), max(map(len, rows)))
    ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for number, row in enumerate(rows):
        place = slice(shape[1] - len(row), None) if fill_before else slice(len(row))
        ids[number, place], mask[number, place] = row, 1
    return torch.from_numpy(ids), torch.from_numpy(mask)
