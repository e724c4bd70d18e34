"""What a model says, word by word."""

from __future__ import annotations

import torch

from skipjack.api.v1alpha1.dataset import Task

from .base import Subject


def answer(subject: Subject, prompt: str) -> str:
    """The model's answer to one of the spec's prompts."""
    return generate(subject, asked(subject, prompt))


def asked(subject: Subject, prompt: str) -> torch.Tensor:
    """[1, length]: a user's turn for a chat, the bare words for a completion, as the training data has them."""
    tokenizer = subject.tokenizer
    if subject.spec.task in (Task.CHAT, Task.PREFERENCE) and tokenizer.chat_template:
        chat = [{"role": "user", "content": prompt}]
        encoded = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
        )
    else:
        encoded = tokenizer(prompt, return_tensors="pt")
    ids: torch.Tensor = encoded["input_ids"]
    return ids


def generate(subject: Subject, ids: torch.Tensor) -> str:
    """What the model goes on with after `ids` [1, length]: the likeliest words, or drawn from torch's generators."""
    tokenizer, ids, asks = subject.tokenizer, ids.to(subject.device), subject.spec.evaluation
    # Without top_k=0 the library draws from the fifty likeliest words alone.
    drawn = {"do_sample": True, "temperature": asks.temperature, "top_p": asks.top_p, "top_k": 0}
    with subject.autocast():
        out = subject.model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=asks.max_new_tokens,
            **(drawn if asks.temperature else {"do_sample": False}),
            use_cache=True,
            synced_gpus=subject.is_shared_out,
            pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
        )
    said: str = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
    return said
