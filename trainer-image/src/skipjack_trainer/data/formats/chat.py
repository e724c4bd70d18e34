"""Conversations: OpenAI's messages, ShareGPT's turns, Alpaca's questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat, Task

from .base import Layout, RowProblem, found, json_if_text, words


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation, as chat templates take it. `weights[i]` is 0 for an assistant's message that is not to be learnt."""

    messages: tuple[dict[str, Any], ...]
    weights: tuple[float, ...]
    tools: tuple[dict[str, Any], ...] = ()


ROLES = ("system", "developer", "user", "assistant", "tool")
SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "tool": "tool",
}


def _messages(values: dict[str, Any]) -> Chat:
    read = messages_of(values.get("messages"), "messages")
    _refuse_results_without_calls(read)
    return _learnt(read, values)


def _learnt(read: list[dict[str, Any]], values: dict[str, Any]) -> Chat:
    if read[-1]["role"] != "assistant":
        raise RowProblem(
            f"messages[{len(read) - 1}].role: the last message must be the assistant's, found {read[-1]['role']!r}"
        )
    weights = tuple(float(message.pop("weight", 1)) for message in read)
    return Chat(tuple(read), weights, tools_of(values.get("tools")))


def messages_of(value: Any, field: str) -> list[dict[str, Any]]:
    """The messages in a field, in OpenAI's shape. Raises RowProblem."""
    messages = json_if_text(value, field)
    if not isinstance(messages, list) or not messages:
        raise RowProblem(f"{field}: expected a list of messages, found {found(messages)}")
    return [_message(message, f"{field}[{index}]") for index, message in enumerate(messages)]


def _message(message: Any, field: str) -> dict[str, Any]:
    """One message without what is null, its content as text."""
    if not isinstance(message, dict):
        raise RowProblem(f"{field}: expected an object with role and content, found {found(message)}")
    if message.get("role") not in ROLES:
        raise RowProblem(f"{field}.role: expected one of {', '.join(ROLES)}, found {found(message.get('role'))}")
    told = {key: value for key, value in message.items() if value is not None}
    weight = told.get("weight", 1)
    if isinstance(weight, bool) or weight not in (0, 1):
        raise RowProblem(f"{field}.weight: expected 0 or 1, found {found(told['weight'])}")
    if told.get("tool_calls"):
        told["tool_calls"] = _tool_calls(told["tool_calls"], f"{field}.tool_calls")
    told["content"] = _content(told.get("content"), bool(told.get("tool_calls")), f"{field}.content")
    if (
        told["role"] == "assistant"
        and not told["content"].strip()
        and not told.get("tool_calls")
        and told.get("weight", 1)
    ):
        raise RowProblem(f"{field}.content: the assistant says nothing; leave the row out, or give it weight 0")
    return told


def _refuse_results_without_calls(messages: list[dict[str, Any]]) -> None:
    """Raises RowProblem for a tool's result that answers no call."""
    open_calls: list[Any] = []
    for index, message in enumerate(messages):
        if message["role"] != "tool":
            open_calls = [call.get("id") for call in message.get("tool_calls") or ()]
        elif not open_calls:
            raise RowProblem(
                f"messages[{index}].role: expected a tool's result after a message with tool_calls, found none before it"
            )
        elif "tool_call_id" in message and all(open_calls) and message["tool_call_id"] not in open_calls:
            ids = ", ".join(map(str, open_calls))
            raise RowProblem(
                f"messages[{index}].tool_call_id: expected one of {ids}, found {found(message['tool_call_id'])}"
            )


def _content(content: Any, may_be_missing: bool, field: str) -> str:
    """Text; OpenAI's list of parts where each is text. Templates stumble over a missing one, so a tool call's is empty."""
    if content is None and may_be_missing:
        return ""
    if isinstance(content, list):
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise RowProblem(f"{field}: expected text or parts of text, found {found(part)}")
        return "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise RowProblem(f"{field}: expected text, found {found(content)}")
    return content


def _tool_calls(calls: Any, field: str) -> list[dict[str, Any]]:
    """OpenAI holds arguments as JSON text; chat templates write JSON themselves and take them as an object."""
    if not isinstance(calls, list):
        raise RowProblem(f"{field}: expected a list, found {found(calls)}")
    told = []
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise RowProblem(
                f"{field}[{index}].function: expected an object with name and arguments, found {found(call)}"
            )
        arguments = json_if_text(function.get("arguments") or {}, f"{field}[{index}].function.arguments")
        if not isinstance(arguments, dict):
            raise RowProblem(f"{field}[{index}].function.arguments: expected an object, found {found(arguments)}")
        told.append(call | {"function": function | {"arguments": arguments}})
    return told


def tools_of(tools: Any) -> tuple[dict[str, Any], ...]:
    """The functions that a conversation may call. Raises RowProblem."""
    told = json_if_text(tools or [], "tools")
    if not isinstance(told, list) or not all(isinstance(tool, dict) for tool in told):
        raise RowProblem(f"tools: expected a list of objects, found {found(told)}")
    return tuple(told)


def _conversations(values: dict[str, Any]) -> Chat:
    turns = json_if_text(values.get("conversations"), "conversations")
    if not isinstance(turns, list) or not turns:
        raise RowProblem(f"conversations: expected a list of turns, found {found(turns)}")
    messages = []
    for index, turn in enumerate(turns):
        if not isinstance(turn, dict) or turn.get("from") not in list(SHAREGPT_ROLES):
            seen = turn.get("from") if isinstance(turn, dict) else turn
            raise RowProblem(
                f"conversations[{index}].from: expected one of {', '.join(SHAREGPT_ROLES)}, found {found(seen)}"
            )
        messages.append({"role": SHAREGPT_ROLES[turn["from"]], "content": turn.get("value")})
    return _learnt(messages_of(messages, "messages"), values)


def _alpaca(values: dict[str, Any]) -> Chat:
    instruction, output = words(values, "instruction"), words(values, "output")
    extra = values.get("input") or ""
    if not isinstance(extra, str):
        raise RowProblem(f"input: expected text, found {found(extra)}")
    question = f"{instruction}\n\n{extra}" if extra else instruction
    return _messages({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": output}]})


CHATS: dict[RowFormat, Layout] = {
    RowFormat.MESSAGES: Layout(frozenset({"messages"}), Task.CHAT, _messages),
    RowFormat.CONVERSATIONS: Layout(frozenset({"conversations"}), Task.CHAT, _conversations),
    RowFormat.ALPACA: Layout(frozenset({"instruction", "output"}), Task.CHAT, _alpaca),
}
