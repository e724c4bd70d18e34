"""Questions, what they are asked of, and their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat, Task

from .base import Layout, RowProblem, found, json_if_text, some_words


@dataclass(frozen=True, slots=True)
class Answer:
    """`begin` is the character of the context at which `text` stands; None: it need not stand there."""

    text: str
    begin: int | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question of a context, which may be empty for a model that answers in its own words. No answers: there is none in it."""

    question: str
    context: str
    answers: tuple[Answer, ...]


def _squad(values: dict[str, Any]) -> Question:
    question, context = some_words(values, "question"), some_words(values, "context")
    texts, starts = _lists(json_if_text(values.get("answers"), "answers"))
    answers = (_answer(index, *told, context) for index, told in enumerate(zip(texts, starts, strict=True)))
    return Question(question, context, tuple(answers))


def _lists(told: Any) -> tuple[list[Any], list[Any]]:
    """(texts, starts), of one length, from an object of lists as on the hub, or a list of objects as in SQuAD's own files. Raises RowProblem."""
    if isinstance(told, list) and all(isinstance(answer, dict) for answer in told):
        return [answer.get("text") for answer in told], [answer.get("answer_start") for answer in told]
    if not isinstance(told, dict) or not isinstance(told.get("text"), list):
        raise RowProblem(f"answers: expected an object with the lists text and answer_start, found {found(told)}")
    texts, starts = told["text"], told.get("answer_start")
    if starts is None:
        starts = [None] * len(texts)
    if not isinstance(starts, list) or len(starts) != len(texts):
        raise RowProblem(
            f"answers.answer_start: expected a list of {len(texts)} numbers, one for each text, found {found(starts)}"
        )
    return texts, starts


def _answer(index: int, text: Any, start: Any, context: str) -> Answer:
    """Raises RowProblem for one that doesn't stand in the context where it is said to."""
    if not isinstance(text, str) or not text.strip():
        raise RowProblem(
            f"answers.text[{index}]: expected words of the context, found {found(text)}; a question without an answer has empty lists"
        )
    if start is None:
        return Answer(text, place_of(text, context, f"answers.text[{index}]"))
    if not isinstance(start, int) or isinstance(start, bool) or start < 0:
        raise RowProblem(
            f"answers.answer_start[{index}]: expected a character's number from 0 on, found {found(start)}"
        )
    seen = context[start : start + len(text)]
    if seen != text:
        where = context.find(text)
        told = f"it stands at {where}" if where >= 0 else "it is nowhere in the context"
        raise RowProblem(
            f"answers.answer_start[{index}]: expected {found(text)} at character {start} of the context, found {found(seen)}: {told}"
        )
    return Answer(text, start)


def place_of(text: str, context: str, field: str) -> int:
    """The character at which `text` stands in the context. Raises RowProblem unless it stands there once."""
    times = context.count(text)
    if not times:
        raise RowProblem(f"{field}: expected words of the context, found {found(text)}, which is not in it")
    if times > 1:
        raise RowProblem(
            f"{field}: {found(text)} stands {times} times in the context: say which is meant by answers.answer_start"
        )
    return context.index(text)


def _question_answer(values: dict[str, Any]) -> Question:
    context = "" if values.get("context") is None else some_words(values, "context")
    return Question(some_words(values, "question"), context, (Answer(some_words(values, "answer")),))


QUESTIONS: dict[RowFormat, Layout] = {
    RowFormat.SQUAD: Layout(frozenset({"question", "context", "answers"}), Task.QUESTION_ANSWERING, _squad),
    RowFormat.QUESTION_ANSWER: Layout(frozenset({"question", "answer"}), Task.QUESTION_ANSWERING, _question_answer),
}
