"""Translations and answers to questions by causal models: the loss of chats, and held-out rows answered to be judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..data.example import Example
from .base import Subject
from .causal import CAUSAL
from .generate import generate, side_by_side
from .measures import words as measures


def predict(subject: Subject, examples: Sequence[Example]) -> list[str]:
    """What the model goes on with after all that stands before the first learnt token."""
    asked = [example.input_ids[: np.flatnonzero(example.weights)[0]] for example in examples]
    return [said.strip() for said in generate(subject, *side_by_side(asked, fill_before=True))]


TRANSLATION = replace(CAUSAL, predict=predict, score=measures.translations)
ANSWERS = replace(CAUSAL, predict=predict, score=measures.answers)
