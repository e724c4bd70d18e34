"""Chats → tokens and weights in the plainest way: a rendering for each message, and every token held against every passage.

Slow, and the judge of the fast way."""

from __future__ import annotations

from typing import Any

from skipjack.api.v1alpha1.dataset import TrainOn

Judged = tuple[list[int], list[float]]


class Rewrites(Exception):
    """The template writes an earlier turn otherwise once more follow."""


def judged(messages: list[dict[str, Any]], tokenizer: Any, train_on: TrainOn) -> Judged:
    """(tokens, weights) of a chat whose messages may have a `weight`. Raises Rewrites."""
    bare = [{key: value for key, value in message.items() if key != "weight"} for message in messages]
    whole = tokenizer.apply_chat_template(bare, tokenize=False)
    if whole.rstrip().endswith(bare[-1]["content"].strip()):
        whole = whole.rstrip() + tokenizer.eos_token
    learnt = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if train_on is TrainOn.LAST_ASSISTANT:
        learnt = learnt[-1:]
    learnt = [index for index in learnt if messages[index].get("weight", 1)]
    passages = (
        [(0, len(whole))] if train_on is TrainOn.ALL else [passage(bare, index, whole, tokenizer) for index in learnt]
    )
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    weights = [0.0] * len(encoded["input_ids"])
    for position, (start, stop) in enumerate(encoded["offset_mapping"]):
        if position and any(stop > begin and start < end for begin, end in passages):
            weights[position] = 1.0
    return encoded["input_ids"], weights


def passage(messages: list[dict[str, Any]], index: int, whole: str, tokenizer: Any) -> tuple[int, int]:
    """Where the words of message `index` begin, and where its turn ends."""
    if index:
        before = tokenizer.apply_chat_template(messages[:index], tokenize=False, add_generation_prompt=True)
    else:
        before = tokenizer.apply_chat_template([messages[0] | {"content": "\x00"}], tokenize=False).partition("\x00")[0]
    after = tokenizer.apply_chat_template(messages[: index + 1], tokenize=False)
    if index == len(messages) - 1:
        after = whole
    ends = [after.rstrip(), after.rstrip().removesuffix(tokenizer.eos_token).rstrip()]
    fitting = [len(end) for end in ends if whole.startswith(end)]
    if not whole.startswith(before) or not fitting or fitting[0] <= len(before):
        raise Rewrites(index)
    return len(before), fitting[0]
