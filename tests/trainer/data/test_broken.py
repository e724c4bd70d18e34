"""The catalogue of broken data for chats and completions: each fault told by file, line, field, what was found and what was expected,
and nothing trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.trainer import tiny
from tests.trainer.data import chats
from tests.trainer.data.test_prepare import write

from skipjack.api.v1alpha1.dataset import ChatTemplate
from skipjack_trainer.data.prepare import prepare
from skipjack_trainer.data.sources import fetch
from skipjack_trainer.data.templates import dressed
from skipjack_trainer.errors import DataInvalid
from skipjack_trainer.storage import Access


class Fault(NamedTuple):
    """A broken row, and what is told of it after its file and line."""

    name: str
    row: Any
    told: str


USER, ASSISTANT = {"role": "user", "content": "Which light?"}, {"role": "assistant", "content": "Red."}
CALL = {"id": "c1", "type": "function", "function": {"name": "light", "arguments": '{"number": 3}'}}
RESULT = {"role": "tool", "content": "red", "tool_call_id": "c1"}


def said(*messages: Any, **beside: Any) -> dict[str, Any]:
    return {"messages": list(messages)} | beside


def calling(**changes: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": [CALL | changes]}


def function(**changes: Any) -> dict[str, Any]:
    return calling(function={"name": "light", "arguments": "{}"} | changes)


CHATS = (
    Fault("not JSON", '{"messages": [', "not JSON: Expecting value at column 15, expected one object a line"),
    Fault("a list", [USER, ASSISTANT], "expected an object, found a list"),
    Fault("another column", {"conversation": [USER]}, "messages: expected a list of messages, found null"),
    Fault("text for a list", said() | {"messages": "Which light?"}, "messages: found text that is not JSON"),
    Fault("no message", said(), "messages: expected a list of messages, found []"),
    Fault("text for a message", said("Which light?", ASSISTANT), 'messages[0]: expected an object with role and content, found "Which light?"'),
    Fault("an unknown role", said({"role": "human", "content": "x"}, ASSISTANT),
          'messages[0].role: expected one of system, developer, user, assistant, tool, found "human"'),
    Fault("no role", said({"content": "x"}, ASSISTANT), "messages[0].role: expected one of system, developer, user, assistant, tool, found null"),
    Fault("a number for text", said(USER, ASSISTANT | {"content": 3}), "messages[1].content: expected text, found 3"),
    Fault("no content", said({"role": "user"}, ASSISTANT), "messages[0].content: expected text, found null"),
    Fault("a picture", said(USER | {"content": [{"type": "image_url"}]}, ASSISTANT),
          'messages[0].content: expected text or parts of text, found {"type": "image_url"}'),
    Fault("an empty answer", said(USER, ASSISTANT | {"content": ""}),
          "messages[1].content: the assistant says nothing; leave the row out, or give it weight 0"),
    Fault("a blank answer", said(USER, ASSISTANT | {"content": " \n"}), "messages[1].content: the assistant says nothing"),
    Fault("the user's last word", said(USER, ASSISTANT, USER), "messages[2].role: the last message must be the assistant's, found 'user'"),
    Fault("a weight of a half", said(USER, ASSISTANT | {"weight": 0.5}), "messages[1].weight: expected 0 or 1, found 0.5"),
    Fault("a weight in words", said(USER, ASSISTANT | {"weight": "1"}), 'messages[1].weight: expected 0 or 1, found "1"'),
    Fault("a weight of true", said(USER, ASSISTANT | {"weight": True}), "messages[1].weight: expected 0 or 1, found true"),
    Fault("calls that are no list", said(USER, ASSISTANT | {"tool_calls": CALL}), "messages[1].tool_calls: expected a list, found {"),
    Fault("a call without a function", said(USER, ASSISTANT | {"tool_calls": [{"name": "light"}]}),
          'messages[1].tool_calls[0].function: expected an object with name and arguments, found {"name": "light"}'),
    Fault("a call that is not JSON", said(USER, function(arguments="number=3")),
          "messages[1].tool_calls[0].function.arguments: found text that is not JSON"),
    Fault("arguments that are no object", said(USER, function(arguments="[3]")),
          "messages[1].tool_calls[0].function.arguments: expected an object, found [3]"),
    Fault("a result without a call", said(USER, RESULT, ASSISTANT),
          "messages[1].role: expected a tool's result after a message with tool_calls, found none before it"),
    Fault("a result after an answer", said(USER, calling(), RESULT, ASSISTANT, RESULT, ASSISTANT),
          "messages[4].role: expected a tool's result after a message with tool_calls, found none before it"),
    Fault("a result of another call", said(USER, calling(), RESULT | {"tool_call_id": "c9"}, ASSISTANT),
          'messages[2].tool_call_id: expected one of c1, found "c9"'),
    Fault("a result for a last word", said(USER, calling(), RESULT), "messages[2].role: the last message must be the assistant's, found 'tool'"),
    Fault("tools that are no list", said(USER, ASSISTANT, tools={"name": "light"}), 'tools: expected a list of objects, found {"name": "light"}'),
)  # fmt: skip
COMPLETIONS = (
    Fault("a missing column", {"prompt": "x"}, "completion: expected text, found null"),
    Fault("a list for text", {"prompt": "x", "completion": ["y"]}, 'completion: expected text, found ["y"]'),
    Fault("a number for a prompt", {"prompt": 3, "completion": "y"}, "prompt: expected text, found 3"),
    Fault(
        "an empty completion",
        {"prompt": "x", "completion": ""},
        "completion: expected text, found nothing but white space",
    ),
    Fault("half a character", r'{"prompt": "x", "completion": "\ud83d"}', "not JSON: half of a surrogate pair"),
    Fault("no number", '{"prompt": "x", "completion": NaN}', "not JSON: NaN is no JSON value"),
)
GEMMA = (
    Fault("a system's word", said({"role": "system", "content": "x"}, USER, ASSISTANT), "messages: the model's chat template refuses them: no system role"),
    Fault("nothing learnt", said(USER, ASSISTANT | {"weight": 0}), "nothing in it is learnt: no token of the assistant has weight"),
)  # fmt: skip


def told(tmp_path: Path, *rows: Any, template: str = tiny.CHATML) -> list[str]:
    """What is told of data with these rows, line by line."""
    write(tmp_path / "claims/data/rows.jsonl", *rows)
    spec = tiny.resolved(dataset={"train": [{"uri": "pvc://data/rows.jsonl"}]})
    access = Access(claims=tmp_path / "claims", scratch=tmp_path / "scratch")
    with pytest.raises(DataInvalid) as caught:
        prepare(spec, fetch(spec, access), chats.tokenizer(template), tiny.FACTS, access.scratch)
    assert not list((tmp_path / "scratch/prepared").glob("*/found.json")), "nothing is kept of it"
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("template", "good", "fault"),
    [
        pytest.param(template, good, fault, id=fault.name)
        for template, good, faults in (
            (tiny.CHATML, said(USER, ASSISTANT), CHATS),
            (tiny.CHATML, {"prompt": "x", "completion": "y"}, COMPLETIONS),
            (chats.GEMMA, said(USER, ASSISTANT), GEMMA),
        )
        for fault in faults
    ],
)
def test_a_fault_is_told_by_file_line_field_found_and_expected(
    tmp_path: Path, template: str, good: Any, fault: Fault
) -> None:
    first, line = told(tmp_path, good, good, fault.row, good, template=template)
    assert first == "1 bad row, nothing was trained."
    assert line.startswith(f"rows.jsonl:3: {fault.told}")


def test_the_first_ten_faults_are_told_at_once_whatever_they_are(tmp_path: Path) -> None:
    first, *lines = told(tmp_path, said(USER, ASSISTANT), *(fault.row for fault in CHATS))
    assert first == f"{len(CHATS)} bad rows, nothing was trained. The first 10:"
    expected = [f"rows.jsonl:{number}: {fault.told}" for number, fault in enumerate(CHATS[:10], 2)]
    assert [line[: len(start)] for line, start in zip(lines, expected, strict=True)] == expected


@pytest.mark.parametrize(
    "row",
    [
        said(USER, calling(), RESULT, ASSISTANT),
        said(USER, calling()),
        said(USER, calling(id=None), RESULT, ASSISTANT),
        said(USER, calling(), {"role": "tool", "content": "red"}, ASSISTANT),
        {"conversations": [{"from": "human", "value": "x"}, {"from": "tool", "value": "y"}, {"from": "gpt", "value": "z"}]},
    ],
    ids=["call and result", "a call last", "calls without ids", "a result without one", "conversations call in words"],
)  # fmt: skip
def test_what_only_looks_broken_is_learnt(tmp_path: Path, row: dict[str, Any]) -> None:
    write(tmp_path / "claims/data/rows.jsonl", json.dumps(row))
    spec = tiny.resolved(dataset={"train": [{"uri": "pvc://data/rows.jsonl"}]})
    access = Access(claims=tmp_path / "claims", scratch=tmp_path / "scratch")
    ready = prepare(
        spec, fetch(spec, access), dressed(tiny.tokenizer(None), ChatTemplate.QWEN_3), tiny.FACTS, access.scratch
    )
    assert ready.facts["learntTokens"] > 0
