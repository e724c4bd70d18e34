"""How rows are laid out: recognised by their columns, and turned into chats or documents."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skipjack.api.v1alpha1.finetunejob import RowFormat, Task

from ..errors import DataInvalid
from .read import parse_json


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


COLUMNS_SHOWN = 20


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
    """The layout that has these columns; others may stand beside them. Raises DataInvalid with what was seen."""
    fits = [kind for kind, (needed, _, _) in FORMATS.items() if needed <= columns]
    if len(fits) == 1:
        return fits[0]
    seen = ", ".join(sorted(columns)[:COLUMNS_SHOWN]) + (", …" if len(columns) > COLUMNS_SHOWN else "") or "(none)"
    if not fits:
        expected = "; ".join(f"{kind.value}: {' + '.join(sorted(needed))}" for kind, (needed, _, _) in FORMATS.items())
        raise DataInvalid(f"{place}: columns {seen} fit no known layout. Expected one of: {expected}.")
    names = ", ".join(kind.value for kind in fits)
    raise DataInvalid(f"{place}: columns {seen} fit several layouts ({names}): name one in the source's `format`.")


def task_of(kind: RowFormat) -> Task:
    return FORMATS[kind][1]


def interpret(kind: RowFormat, values: dict[str, Any]) -> Chat | Document:
    """One row. Raises RowProblem."""
    return FORMATS[kind][2](values)


def _messages(values: dict[str, Any]) -> Chat:
    messages = _json_if_text(values.get("messages"), "messages")
    if not isinstance(messages, list) or not messages:
        raise RowProblem(f"messages: expected a list of messages, found {_found(messages)}")
    read = [_message(message, f"messages[{index}]") for index, message in enumerate(messages)]
    if read[-1]["role"] != "assistant":
        raise RowProblem(
            f"messages[{len(messages) - 1}].role: the last message must be the assistant's, found {read[-1]['role']!r}"
        )
    weights = tuple(float(message.pop("weight", 1)) for message in read)
    return Chat(tuple(read), weights, _tools(values.get("tools")))


def _message(message: Any, field: str) -> dict[str, Any]:
    """One message without what is null, its content as text."""
    if not isinstance(message, dict):
        raise RowProblem(f"{field}: expected an object with role and content, found {_found(message)}")
    if message.get("role") not in ROLES:
        raise RowProblem(f"{field}.role: expected one of {', '.join(ROLES)}, found {_found(message.get('role'))}")
    told = {key: value for key, value in message.items() if value is not None}
    if told.get("weight", 1) not in (0, 1):
        raise RowProblem(f"{field}.weight: expected 0 or 1, found {_found(told['weight'])}")
    if told.get("tool_calls"):
        told["tool_calls"] = _tool_calls(told["tool_calls"], f"{field}.tool_calls")
    told["content"] = _content(told.get("content"), bool(told.get("tool_calls")), f"{field}.content")
    if told["role"] == "assistant" and not told["content"] and not told.get("tool_calls") and told.get("weight", 1):
        raise RowProblem(f"{field}.content: the assistant says nothing; leave the row out, or give it weight 0")
    return told


def _content(content: Any, may_be_missing: bool, field: str) -> str:
    """Text; OpenAI's list of parts where each is text. Templates stumble over a missing one, so a tool call's is empty."""
    if content is None and may_be_missing:
        return ""
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise RowProblem(f"{field}: expected text or parts of text, found {_found(part)}")
        return "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise RowProblem(f"{field}: expected text, found {_found(content)}")
    return content


def _tool_calls(calls: Any, field: str) -> list[dict[str, Any]]:
    """OpenAI holds arguments as JSON text; chat templates write JSON themselves and take them as an object."""
    if not isinstance(calls, list):
        raise RowProblem(f"{field}: expected a list, found {_found(calls)}")
    told = []
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise RowProblem(
                f"{field}[{index}].function: expected an object with name and arguments, found {_found(call)}"
            )
        arguments = _json_if_text(function.get("arguments") or {}, f"{field}[{index}].function.arguments")
        if not isinstance(arguments, dict):
            raise RowProblem(f"{field}[{index}].function.arguments: expected an object, found {_found(arguments)}")
        told.append(call | {"function": function | {"arguments": arguments}})
    return told


def _tools(tools: Any) -> tuple[dict[str, Any], ...]:
    told = _json_if_text(tools or [], "tools")
    if not isinstance(told, list) or not all(isinstance(tool, dict) for tool in told):
        raise RowProblem(f"tools: expected a list of objects, found {_found(told)}")
    return tuple(told)


def _conversations(values: dict[str, Any]) -> Chat:
    turns = _json_if_text(values.get("conversations"), "conversations")
    if not isinstance(turns, list) or not turns:
        raise RowProblem(f"conversations: expected a list of turns, found {_found(turns)}")
    messages = []
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict) or turn.get("from") not in list(SHAREGPT_ROLES):
            found = turn.get("from") if isinstance(turn, dict) else turn
            raise RowProblem(
                f"conversations[{index}].from: expected one of {', '.join(SHAREGPT_ROLES)}, found {_found(found)}"
            )
        messages.append({"role": SHAREGPT_ROLES[turn["from"]], "content": turn.get("value")})
    return _messages({"messages": messages, "tools": values.get("tools")})


def _prompt_completion(values: dict[str, Any]) -> Document:
    prompt, completion = _words(values, "prompt"), _words(values, "completion")
    if not completion.strip():
        raise RowProblem("completion: expected text, found nothing but white space")
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
        return parse_json(value)
    except ValueError as error:
        raise RowProblem(f"{field}: found text that is not JSON ({error})") from error


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
