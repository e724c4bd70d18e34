"""What is asked and what is answered: so much rows of several tasks have in common for a model that answers in words of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skipjack.api.v1alpha1.dataset import Task

from .example import Example, text_of, utf8
from .formats import Document, Question, Translation

ASKED = frozenset({Task.TRANSLATION, Task.QUESTION_ANSWERING})
"""Tasks whose rows begin with `dataset.instruction`."""
END = "\n"
"""What a model without chat template sees between a question and its answer."""
REFERENCES = "references"


@dataclass(frozen=True, slots=True)
class Asked:
    """`references`: all answers that are right, of which `answer` is the one that is learnt."""

    words: str
    answer: str
    references: tuple[str, ...]

    @property
    def beside(self) -> Mapping[str, Any]:
        """What an example is judged by."""
        return {REFERENCES: utf8(json.dumps(self.references))}


def ask(row: Translation | Question | Document, instruction: str | None) -> Asked:
    match row:
        case Translation():
            return Asked((instruction or "") + row.source, row.target, (row.target,))
        case Document():
            return Asked(row.prompt, row.completion, (row.completion,))
        case Question():
            context = f"{row.context}\n\n" if row.context else ""
            answers = tuple(answer.text for answer in row.answers)
            return Asked(f"{context}{instruction or ''}{row.question}", answers[0] if answers else "", answers)


def references_of(example: Example) -> list[str]:
    """All answers that are right; none where there is nothing to answer."""
    told: list[str] = json.loads(text_of(example.beside[REFERENCES]))
    return told
