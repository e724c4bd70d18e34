"""Preferences: two answers to one prompt, or one answer that is judged; in TRL's shapes and in OpenAI's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat, Task

from .base import Layout, RowProblem, found, json_if_text, some_words, words
from .chat import Chat, messages_of, tools_of
from .document import Document

Answered = Chat | Document
"""A prompt and an answer to it, of which the answer alone is learnt."""
Messages = Sequence[dict[str, Any]]

ANSWERERS = ("assistant", "tool")
SAME = "rejected: it says the same as chosen: leave the row out"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to the same prompt."""

    chosen: Answered
    rejected: Answered


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer, and whether it is one to be given."""

    answered: Answered
    is_desirable: bool


def _prompted(values: dict[str, Any]) -> Pair:
    if all(isinstance(_read(values, field), str) for field in ("prompt", "chosen", "rejected")):
        prompt = words(values, "prompt")
        return _differing(*(Document(prompt, some_words(values, field)) for field in ("chosen", "rejected")))
    if not isinstance(_read(values, "prompt"), list):
        # Its conversations hold the prompt too: UltraFeedback's rows for example.
        pair, prompt = _whole(values), words(values, "prompt")
        if not isinstance(pair.chosen, Chat) or prompt not in [m["content"] for m in pair.chosen.messages]:
            raise RowProblem(
                "prompt: it is text, and no message of chosen and rejected: bring a list of messages in all three"
            )
        return pair
    prompt, tools = messages_of(values["prompt"], "prompt"), tools_of(values.get("tools"))
    answers = (messages_of(values.get(field), field) for field in ("chosen", "rejected"))
    return _differing(
        *(_chat(prompt, answer, field, tools) for answer, field in zip(answers, ("chosen", "rejected"), strict=True))
    )


def _whole(values: dict[str, Any]) -> Pair:
    """Whole conversations or texts: what both begin with is the prompt."""
    chosen, rejected = (_read(values, field) for field in ("chosen", "rejected"))
    if isinstance(chosen, str) and isinstance(rejected, str):
        return _differing(*_documents(some_words(values, "chosen"), some_words(values, "rejected")))
    one, other = messages_of(chosen, "chosen"), messages_of(rejected, "rejected")
    shared = 0
    while shared < min(len(one), len(other)) and one[shared] == other[shared]:
        shared += 1
    if one == other:
        raise RowProblem(SAME)
    # One conversation may go on where the other ends: then the last thing that both say is an answer, not a prompt.
    shared = min(shared, len(one) - 1, len(other) - 1)
    tools = tools_of(values.get("tools"))
    for field, messages in (("chosen", one), ("rejected", other)):
        if messages[shared]["role"] not in ANSWERERS:
            raise RowProblem(
                f"{field}[{shared}]: the prompts of chosen and rejected differ here: both must answer the same messages"
            )
    return Pair(*(_chat(m[:shared], m[shared:], f, tools, shared) for m, f in ((one, "chosen"), (other, "rejected"))))


def _documents(chosen: str, rejected: str) -> tuple[Document, Document]:
    """Apart from where they differ, at the last white space before it: no word is cut in two."""
    together = enumerate(zip(chosen, rejected, strict=False))
    shared = next((n for n, (one, other) in together if one != other), min(len(chosen), len(rejected)))
    begin = next((n for n in reversed(range(shared)) if chosen[n].isspace()), 0)
    for field, text in (("chosen", chosen), ("rejected", rejected)):
        if not text[begin:].strip():
            raise RowProblem(f"{field}: it ends where the other's answer begins: leave the row out")
    return Document(chosen[:begin], chosen[begin:]), Document(rejected[:begin], rejected[begin:])


def _chat(prompt: Messages, answer: Messages, field: str, tools: Sequence[dict[str, Any]], shared: int = 0) -> Chat:
    """`shared`: how many messages of the field are the prompt's."""
    for index, message in enumerate(answer, shared):
        if message["role"] not in ANSWERERS:
            raise RowProblem(
                f"{field}[{index}].role: an answer is the assistant's (or a tool's), found {message['role']!r}: "
                "messages before it belong into the prompt"
            )
    if answer[-1]["role"] != "assistant":
        last = f"{field}[{shared + len(answer) - 1}]"
        raise RowProblem(f"{last}.role: the last message must be the assistant's, found {answer[-1]['role']!r}")
    told = [{key: value for key, value in message.items() if key != "weight"} for message in (*prompt, *answer)]
    weights = [0.0] * len(prompt) + [float(message.get("weight", 1)) for message in answer]
    if not any(weights):
        raise RowProblem(f"{field}: every message of the answer has weight 0: leave the row out")
    return Chat(tuple(told), tuple(weights), tuple(tools))


def _differing(chosen: Answered, rejected: Answered) -> Pair:
    if chosen == rejected:
        raise RowProblem(SAME)
    return Pair(chosen, rejected)


def _openai(chosen: str, rejected: str, values: dict[str, Any]) -> Pair:
    given = json_if_text(values.get("input"), "input")
    if not isinstance(given, dict):
        raise RowProblem(f"input: expected an object with messages, found {found(given)}")
    prompt, tools = messages_of(given.get("messages"), "input.messages"), tools_of(given.get("tools"))
    return _differing(
        *(_chat(prompt, messages_of(values.get(field), field), field, tools) for field in (chosen, rejected))
    )


def _judged(values: dict[str, Any]) -> Judged:
    label = json_if_text(values.get("label"), "label")
    if not isinstance(label, bool):
        raise RowProblem(f"label: expected true or false, found {found(label)}")
    if isinstance(_read(values, "prompt"), list):
        prompt, answer = (messages_of(values.get(field), field) for field in ("prompt", "completion"))
        return Judged(_chat(prompt, answer, "completion", tools_of(values.get("tools"))), label)
    return Judged(Document(words(values, "prompt"), some_words(values, "completion")), label)


def _read(values: dict[str, Any], field: str) -> Any:
    """The field's value; text of a CSV that holds messages as JSON is read."""
    value = values.get(field)
    is_json = isinstance(value, str) and value.lstrip().startswith("[{")
    return json_if_text(value, field) if is_json else value


PREFERENCES: dict[RowFormat, Layout] = {
    kind: Layout(frozenset(columns), Task.PREFERENCE, interpret)
    for kind, columns, interpret in (
        (RowFormat.PROMPT_CHOSEN_REJECTED, ("prompt", "chosen", "rejected"), _prompted),
        (RowFormat.CHOSEN_REJECTED, ("chosen", "rejected"), _whole),
        (
            RowFormat.PREFERRED_OUTPUT,
            ("input", "preferred_output", "non_preferred_output"),
            partial(_openai, "preferred_output", "non_preferred_output"),
        ),
        (
            RowFormat.PREFERRED_COMPLETION,
            ("input", "preferred_completion", "non_preferred_completion"),
            partial(_openai, "preferred_completion", "non_preferred_completion"),
        ),
        (RowFormat.PROMPT_COMPLETION_LABEL, ("prompt", "completion", "label"), _judged),
    )
}
