"""Chats and documents → tokens with loss weights.

The mask is where trainers go wrong silently, so it is checked here: a template that rewrites earlier turns is refused,
the end of a turn is always learnt (a model that never sees it never stops), and a row with nothing to learn is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from skipjack.api.v1alpha1.finetunejob import TrainOn

from ..errors import ConfigurationInvalid
from .example import Example
from .formats import Chat, Document, RowProblem


def render(row: Chat | Document, tokenizer: Any, train_on: TrainOn) -> Example:
    """The row as tokens with weights. Raises RowProblem for the row's faults, ConfigurationInvalid for the template's."""
    example = _chat(row, tokenizer, train_on) if isinstance(row, Chat) else _document(row, tokenizer, train_on)
    if len(example):
        example.weights[0] = 0.0
    if not example.weights.any():
        raise RowProblem(
            "nothing in it is learnt: no token of the assistant has weight; check roles, weights and trainOn"
        )
    return example


def _document(row: Document, tokenizer: Any, train_on: TrainOn) -> Example:
    text = row.prompt + row.completion
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    first = tokenizer("", add_special_tokens=True)["input_ids"][:1]
    begin = [tokenizer.bos_token_id] if first and first[0] == tokenizer.bos_token_id else []
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    learnt_from = 0 if train_on is TrainOn.ALL else len(row.prompt)
    weights = [1.0 if start >= learnt_from else 0.0 for start, _ in encoded["offset_mapping"]]
    return _example(begin + encoded["input_ids"] + end, [0.0] * len(begin) + weights + [1.0] * len(end))


def _chat(row: Chat, tokenizer: Any, train_on: TrainOn) -> Example:
    template = tokenizer.get_chat_template(tools=list(row.tools) or None) if tokenizer.chat_template else None
    if template is None:
        raise ConfigurationInvalid(
            "the model has no chat template: use an instruction-tuned model, or bring the data as prompt and completion (task Completion)."
        )
    if train_on is TrainOn.ALL:
        ids = tokenizer.apply_chat_template(
            list(row.messages), tools=list(row.tools) or None, tokenize=True, return_dict=True
        )["input_ids"]
        return _example(ids, [1.0] * len(ids))
    wanted = _wanted(row, train_on)
    if "generation %}" in template or "generation -%}" in template:
        return _by_markers(row, tokenizer, wanted)
    return _by_prefixes(row, tokenizer, wanted)


def _wanted(row: Chat, train_on: TrainOn) -> dict[int, float]:
    """Index of each assistant's message → its weight."""
    spoken = [i for i, message in enumerate(row.messages) if message["role"] == "assistant"]
    learnt = spoken[-1:] if train_on is TrainOn.LAST_ASSISTANT else spoken
    return {i: row.weights[i] if i in learnt else 0.0 for i in spoken}


def _by_markers(row: Chat, tokenizer: Any, wanted: dict[int, float]) -> Example:
    encoded = tokenizer.apply_chat_template(
        list(row.messages),
        tools=list(row.tools) or None,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    mask = np.asarray(encoded["assistant_masks"], np.int8)
    starts = np.flatnonzero(np.diff(mask, prepend=0) == 1)
    if len(starts) != len(wanted):
        raise ConfigurationInvalid(
            f"the chat template marks {len(starts)} passages as the assistant's in a chat that has {len(wanted)}: its generation markers are broken."
        )
    turn = np.searchsorted(starts, np.arange(len(mask)), side="right") - 1
    weights = np.where(mask == 1, np.asarray(list(wanted.values()), np.float32)[np.maximum(turn, 0)], 0.0)
    return _example(encoded["input_ids"], weights)


def _by_prefixes(row: Chat, tokenizer: Any, wanted: dict[int, float]) -> Example:
    """The assistant's passages are what a message adds to the rendering of all before it."""
    messages, tools = list(row.messages), list(row.tools) or None
    whole = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
    spans = []
    for index, weight in wanted.items():
        before = (
            tokenizer.apply_chat_template(messages[:index], tools=tools, tokenize=False, add_generation_prompt=True)
            if index
            else ""
        )
        after = tokenizer.apply_chat_template(messages[: index + 1], tools=tools, tokenize=False)
        if not (whole.startswith(before) and whole.startswith(after.rstrip()) and after.startswith(before)):
            raise ConfigurationInvalid(
                f"the chat template rewrites earlier turns (message {index} of the chat reads differently once more follow), so what the assistant "
                "said can't be told apart: use trainOn: LastAssistant with single-turn chats, or a model with another template."
            )
        spans.append((len(before), len(after.rstrip()), weight))
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    starts = np.asarray([start for start, _ in encoded["offset_mapping"]])
    weights = np.zeros(len(starts), np.float32)
    for begin, end, weight in spans:
        weights[(starts >= begin) & (starts < end)] = weight
    return _example(encoded["input_ids"], weights)


def _example(ids: Any, weights: Any) -> Example:
    return Example(np.asarray(ids, np.int32), np.asarray(weights, np.float32))
