"""How rows are laid out: recognised by their columns, and turned into chats or documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skipjack.api.v1alpha1.finetunejob import RowFormat, Task

from ..errors import DataInvalid


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation, as chat templates take it. `weights[i]` is 0 for an assistant's message that is not to be learnt."""

    messages: tuple[dict[str, Any], ...]
    weights: tuple[float, ...]
    tools: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A text to be continued: nothing of `prompt` is learnt."""

    prompt: str
    completion: str


class RowProblem(Exception):
    """What is wrong in a row: field, what was found, what was expected."""


ROLES = ("system", "developer", "user", "assistant", "tool")
SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "tool": "tool",
}


def recognise(columns: set[str], place: str) -> RowFormat:
    """The layout that has these columns. Raises DataInvalid with what was seen."""
    fits = [kind for kind, (needed, _, _) in FORMATS.items() if needed <= columns]
    if len(fits) == 1:
        return fits[0]
    expected = "; ".join(f"{kind.value}: {' + '.join(sorted(needed))}" for kind, (needed, _, _) in FORMATS.items())
    if not fits:
        raise DataInvalid(
            f"{place}: columns {', '.join(sorted(columns)) or '(none)'} fit no known layout. Expected one of: {expected}."
        )
    names = ", ".join(kind.value for kind in fits)
    raise DataInvalid(
        f"{place}: columns {', '.join(sorted(columns))} fit several layouts ({names}): name one in the source's `format`."
    )


def task_of(kind: RowFormat) -> Task:
    return FORMATS[kind][1]


def interpret(kind: RowFormat, values: dict[str, Any]) -> Chat | Document:
    """One row. Raises RowProblem."""
    return FORMATS[kind][2](values)


def _messages(values: dict[str, Any]) -> Chat:
    messages = _json_if_text(values.get("messages"), "messages")
    if not isinstance(messages, list) or not messages:
        raise RowProblem(f"messages: expected a list of messages, found {_found(messages)}")
    weights = []
    for index, message in enumerate(messages):
        field = f"messages[{index}]"
        if not isinstance(message, dict):
            raise RowProblem(f"{field}: expected an object with role and content, found {_found(message)}")
        if message.get("role") not in ROLES:
            raise RowProblem(f"{field}.role: expected one of {', '.join(ROLES)}, found {_found(message.get('role'))}")
        if not isinstance(message.get("content"), str) and not message.get("tool_calls"):
            raise RowProblem(f"{field}.content: expected text, found {_found(message.get('content'))}")
        weight = message.get("weight", 1)
        if weight not in (0, 1):
            raise RowProblem(f"{field}.weight: expected 0 or 1, found {_found(weight)}")
        weights.append(float(weight))
    if messages[-1]["role"] != "assistant":
        raise RowProblem(
            f"messages[{len(messages) - 1}].role: the last message must be the assistant's, found {messages[-1]['role']!r}"
        )
    tools = _json_if_text(values.get("tools") or [], "tools")
    bare = tuple(
        {key: value for key, value in message.items() if key != "weight" and value is not None} for message in messages
    )
    return Chat(bare, tuple(weights), tuple(tools))


def _conversations(values: dict[str, Any]) -> Chat:
    turns = _json_if_text(values.get("conversations"), "conversations")
    if not isinstance(turns, list) or not turns:
        raise RowProblem(f"conversations: expected a list of turns, found {_found(turns)}")
    messages = []
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict) or turn.get("from") not in SHAREGPT_ROLES:
            found = turn.get("from") if isinstance(turn, dict) else turn
            raise RowProblem(
                f"conversations[{index}].from: expected one of {', '.join(SHAREGPT_ROLES)}, found {_found(found)}"
            )
        messages.append({"role": SHAREGPT_ROLES[turn["from"]], "content": turn.get("value")})
    return _messages({"messages": messages})


def _prompt_completion(values: dict[str, Any]) -> Document:
    prompt, completion = _words(values, "prompt"), _words(values, "completion")
    if not completion:
        raise RowProblem("completion: expected text, found an empty string")
    return Document(prompt, completion)


def _alpaca(values: dict[str, Any]) -> Chat:
    instruction, output = _words(values, "instruction"), _words(values, "output")
    extra = values.get("input") or ""
    if not isinstance(extra, str):
        raise RowProblem(f"input: expected text, found {_found(extra)}")
    question = f"{instruction}\n\n{extra}" if extra else instruction
    return _messages({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": output}]})


def _plain(values: dict[str, Any]) -> Document:
    text = _words(values, "text")
    if not text.strip():
        raise RowProblem("text: expected text, found nothing but white space")
    return Document("", text)


def _words(values: dict[str, Any], field: str) -> str:
    value = values.get(field)
    if not isinstance(value, str):
        raise RowProblem(f"{field}: expected text, found {_found(value)}")
    return value


def _json_if_text(value: Any, field: str) -> Any:
    """CSV can hold lists only as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise RowProblem(f"{field}: expected a list, found text that is not JSON ({error.msg})") from error


def _found(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


FORMATS: dict[RowFormat, tuple[set[str], Task, Callable[[dict[str, Any]], Chat | Document]]] = {
    RowFormat.MESSAGES: ({"messages"}, Task.CHAT, _messages),
    RowFormat.CONVERSATIONS: ({"conversations"}, Task.CHAT, _conversations),
    RowFormat.PROMPT_COMPLETION: ({"prompt", "completion"}, Task.COMPLETION, _prompt_completion),
    RowFormat.ALPACA: ({"instruction", "output"}, Task.CHAT, _alpaca),
    RowFormat.TEXT: ({"text"}, Task.COMPLETION, _plain),
}
