"""Text classification: one class of several, or any number of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from skipjack.resolve import ResolvedSpec

from ..data.example import Example
from ..data.writers.classes import CLASS, CLASSES
from ..shape import Head
from .base import Recipe, Subject
from .labelled import Labelled, ask, labelled, logits, settle_padding
from .measures.labels import accuracy, macro_f1, micro_f1

MULTI_LABEL = "multi_label_classification"
"""As `transformers` calls the kind of problem."""
LIKELY = 0.5
"""Classes that don't exclude each other are told from this probability on."""
SHOWN = 3


def configure(config: Any, tokenizer: Any, example: Example) -> None:
    settle_padding(config, tokenizer)
    config.problem_type = MULTI_LABEL if is_multi_label(example) else "single_label_classification"


def is_multi_label(example: Example) -> bool:
    return CLASSES in example.beside


def batch(examples: Sequence[Example], packing: bool, device: torch.device) -> Labelled:
    """`targets`: int64 [n], or float32 [n, classes] where classes don't exclude each other."""
    weights = np.array([example.weights[0] for example in examples], np.float32)
    if is_multi_label(examples[0]):
        targets = np.stack([example.beside[CLASSES] for example in examples]).astype(np.float32)
    else:
        targets = np.concatenate([example.beside[CLASS] for example in examples]).astype(np.int64)
    return labelled(examples, targets, weights, device)


def loss(model: Any, batch: Labelled, spec: ResolvedSpec) -> tuple[torch.Tensor, float]:
    """Sum over texts of weighted cross-entropies in nats; of several classes each text's is the mean of the binary ones."""
    told = logits(model, batch)
    if batch.targets.dim() == 2:
        each = binary_cross_entropy_with_logits(told, batch.targets, reduction="none").mean(dim=1)
    else:
        each = cross_entropy(told, batch.targets, reduction="none")
    return (each * batch.weights).sum(), batch.weight


def predict(subject: Subject, examples: Sequence[Example]) -> list[list[int]]:
    """The numbers of the classes of each text: one, or any number of them."""
    with subject.autocast():
        told = logits(subject.model, batch(examples, False, subject.device))
    if is_multi_label(examples[0]):
        return [np.flatnonzero(row).tolist() for row in (told.sigmoid() >= LIKELY).cpu().numpy()]
    return [[number] for number in told.argmax(dim=1).tolist()]


def score(examples: Sequence[Example], predictions: Sequence[list[int]], labels: tuple[str, ...]) -> dict[str, float]:
    """Of one class: macro F1, in which a rare class counts as much as another. Of several: micro F1, over all (text, class), and beside it
    the macro. Accuracy is the share of texts all of whose classes are right."""
    if not is_multi_label(examples[0]):
        expected = [example.beside[CLASS].tolist() for example in examples]
        return {"accuracy": accuracy(expected, predictions), "f1": macro_f1(expected, predictions)}
    expected = [np.flatnonzero(example.beside[CLASSES]).tolist() for example in examples]
    return {
        "accuracy": accuracy(expected, predictions),
        "f1": micro_f1(expected, predictions),
        "f1_macro": macro_f1(expected, predictions, range(len(labels))),
    }


def answer(subject: Subject, prompt: str) -> str:
    """The classes of a text, with their probabilities, the likeliest first."""
    told = ask(subject, subject.tokenizer(prompt)["input_ids"])[0]
    is_multi = subject.model.config.problem_type == MULTI_LABEL
    likely = told.sigmoid() if is_multi else told.softmax(dim=0)
    order = likely.argsort(descending=True).tolist()
    shown = [number for number in order if likely[number] >= LIKELY] if is_multi else order[:SHOWN]
    return ", ".join(f"{subject.labels[number]} ({float(likely[number]):.2f})" for number in shown) or "(no class)"


CLASSES_OF_TEXT = Recipe(Head.CLASS, batch, loss, predict, score, answer, configure)
