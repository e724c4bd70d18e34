"""Named chat templates for training: the published formats of well-known families, written so that a chat goes on as it began, with
generation markers around all that the assistant says, its end of turn included."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.dataset import ChatTemplate, Task

from ...errors import ConfigurationInvalid

HOLD_CHATS = frozenset({Task.CHAT, Task.PREFERENCE, Task.QUESTION_ANSWERING, Task.TRANSLATION})
"""Tasks whose rows are, or may be written as, chats."""

MARKER = re.compile(r"^ *\{%- (end)?generation -%\}\n", re.MULTILINE)
EOS = "eos_token"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a template takes for granted of a tokenizer."""

    end_of_turn: str
    """The token that the assistant ends with: the tuned model's end of sequence. EOS: the tokenizer's own, whatever it is."""
    tokens: tuple[str, ...] = ()
    """Others that must be single tokens."""
    begins: bool = False
    """Whether it begins a chat with the tokenizer's beginning of sequence."""


NEEDS: dict[ChatTemplate, Needs] = {
    ChatTemplate.CHATML: Needs("<|im_end|>", ("<|im_start|>",)),
    ChatTemplate.GEMMA: Needs("<end_of_turn>", ("<start_of_turn>",), begins=True),
    ChatTemplate.LLAMA_3: Needs("<|eot_id|>", ("<|start_header_id|>", "<|end_header_id|>"), begins=True),
    ChatTemplate.MISTRAL: Needs(EOS, begins=True),
    ChatTemplate.PHI_3: Needs("<|end|>", ("<|system|>", "<|user|>", "<|assistant|>")),
    ChatTemplate.PHI_4: Needs("<|im_end|>", ("<|im_start|>", "<|im_sep|>")),
    ChatTemplate.QWEN_2_5: Needs("<|im_end|>", ("<|im_start|>",)),
    ChatTemplate.QWEN_3: Needs("<|im_end|>", ("<|im_start|>",)),
    ChatTemplate.ZEPHYR: Needs(EOS),
}


def source_of(name: ChatTemplate) -> str:
    """The template as it is trained by, markers and all."""
    return (Path(__file__).parent / f"{name.value}.jinja").read_text()


def dressed(tokenizer: Any, name: ChatTemplate | None) -> Any:
    """The tokenizer with that template, and its end of turn as the end of sequence; None: as it is. Raises ConfigurationInvalid."""
    if name is None:
        return tokenizer
    if missing := _missing(tokenizer, name):
        able = ", ".join(other.value for other in NEEDS if not _missing(tokenizer, other)) or "none of them"
        raise ConfigurationInvalid(
            f"dataset.chatTemplate: {name.value} needs {', '.join(missing)}, which the model's tokenizer has not as a token; it can have: {able}."
        )
    tokenizer.chat_template = source_of(name)
    if NEEDS[name].end_of_turn != EOS:
        tokenizer.eos_token = NEEDS[name].end_of_turn
    return tokenizer


def bared(tokenizer: Any, name: ChatTemplate | None) -> Any:
    """The tokenizer as others take it: a named template without markers, which only trainers know."""
    if name is not None:
        tokenizer.chat_template = MARKER.sub("", source_of(name))
    return tokenizer


def _missing(tokenizer: Any, name: ChatTemplate) -> list[str]:
    """What the template needs and the tokenizer hasn't."""
    needs = NEEDS[name]
    words = [token for token in (*needs.tokens, needs.end_of_turn) if token != EOS and not _is_one(tokenizer, token)]
    if needs.end_of_turn == EOS and tokenizer.eos_token is None:
        words.append("an end of sequence")
    if needs.begins and tokenizer.bos_token is None:
        words.append("a beginning of sequence")
    return words


def _is_one(tokenizer: Any, token: str) -> bool:
    return token in tokenizer.get_vocab() and tokenizer.tokenize(token) == [token]
