"""Texts to be continued."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat, Task

from .base import Layout, some_words, words


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be continued: nothing of `prompt` is learnt."""

    prompt: str
    completion: str


def _prompt_completion(values: dict[str, Any]) -> Document:
    return Document(words(values, "prompt"), some_words(values, "completion"))


def _plain(values: dict[str, Any]) -> Document:
    return Document("", some_words(values, "text"))


DOCUMENTS: dict[RowFormat, Layout] = {
    RowFormat.PROMPT_COMPLETION: Layout(frozenset({"prompt", "completion"}), Task.COMPLETION, _prompt_completion),
    RowFormat.TEXT: Layout(frozenset({"text"}), Task.COMPLETION, _plain),
}
