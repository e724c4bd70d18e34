"""Token classification: the words of a text that name something."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from skipjack.resolve import ResolvedSpec

from ..data.example import Example
from ..data.formats.tagged import Word, words_of
from ..data.writers.encode import TAGS
from ..data.writers.tags import first_tokens
from ..shape import Head
from .base import Recipe, Subject
from .labelled import Labelled, ask, filled, labelled, logits, settle_padding
from .measures.labels import accuracy, entity_f1


def configure(config: Any, tokenizer: Any, example: Example) -> None:
    settle_padding(config, tokenizer)


def batch(examples: Sequence[Example], packing: bool, device: torch.device) -> Labelled:
    """`targets` int64 [n, L]; those without a weight mean nothing."""
    targets = filled([example.beside[TAGS] for example in examples])
    weights = np.zeros(targets.shape, np.float32)
    for number, example in enumerate(examples):
        weights[number, : len(example)] = example.weights
    return labelled(examples, targets, weights, device)


def loss(model: Any, batch: Labelled, spec: ResolvedSpec) -> tuple[torch.Tensor, float]:
    """Sum over words of weighted cross-entropies in nats."""
    each = cross_entropy(logits(model, batch).transpose(1, 2), batch.targets, reduction="none")
    return (each * batch.weights).sum(), batch.weight


def predict(subject: Subject, examples: Sequence[Example]) -> list[list[int]]:
    """The number of the tag of each word."""
    with subject.autocast():
        told = logits(subject.model, batch(examples, False, subject.device)).argmax(dim=2).cpu().numpy()
    return [row[np.flatnonzero(example.weights)].tolist() for row, example in zip(told, examples, strict=True)]


def score(examples: Sequence[Example], predictions: Sequence[list[int]], labels: tuple[str, ...]) -> dict[str, float]:
    """F1 of whole entities, right only from their first word to their last; accuracy is that of words."""
    expected = [example.beside[TAGS][np.flatnonzero(example.weights)].tolist() for example in examples]
    words, said = ([number for row in rows for number in row] for rows in (expected, predictions))
    named, called = ([[labels[number] for number in row] for row in rows] for rows in (expected, predictions))
    return {"accuracy": accuracy(words, said), "f1": entity_f1(named, called)}


def answer(subject: Subject, prompt: str) -> str:
    """The prompt with each entity in brackets, what it is behind it."""
    encoding = subject.tokenizer([prompt]).encodings[0]
    told = ask(subject, encoding.ids)[0].argmax(dim=1).tolist()
    words = words_of(prompt)
    tags = ["O" if token is None else subject.labels[told[token]] for token in first_tokens(words, encoding)]
    said, end = "", 0
    for first, last, name in entities(words, tags):
        said += f"{prompt[end:first]}[{prompt[first:last]}]({name})"
        end = last
    return said + prompt[end:]


def entities(words: Sequence[Word], tags: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """(begin, end, name) in characters of each entity; an I- that nothing began begins one."""
    begun: tuple[int, int, str] | None = None
    for word, tag in zip(words, tags, strict=True):
        if begun and tag == f"I-{begun[2]}":
            begun = (begun[0], word.end, begun[2])
            continue
        if begun:
            yield begun
        begun = None if tag == "O" else (word.begin, word.end, tag[2:])
    if begun:
        yield begun


TAGS_OF_WORDS = Recipe(Head.CLASS_OF_TOKEN, batch, loss, predict, score, answer, configure)
