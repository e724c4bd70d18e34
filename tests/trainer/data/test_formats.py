"""Layouts of rows: recognised by their columns, told back, and each fault told by field, found and expected."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack_trainer.data.formats import (
    Answer,
    Chat,
    Classified,
    Document,
    Picture,
    Question,
    RowProblem,
    Tagged,
    Translation,
    interpret,
    recognise,
    task_of,
)
from skipjack_trainer.errors import DataInvalid

SAID = ({"role": "user", "content": "one?"}, {"role": "assistant", "content": "uno"})
ASKED = {"question": "Which?", "context": "The light is red."}
TASKS = {
    Chat: Task.CHAT,
    Document: Task.COMPLETION,
    Classified: Task.TEXT_CLASSIFICATION,
    Tagged: Task.TOKEN_CLASSIFICATION,
    Translation: Task.TRANSLATION,
    Question: Task.QUESTION_ANSWERING,
    Picture: Task.TEXT_TO_IMAGE,
}
LIGHT = Tagged("red", ((0, 3),), ("B-LIGHT",), "tags")
ROWS: dict[RowFormat, tuple[dict[str, Any], Any]] = {
    RowFormat.MESSAGES: ({"messages": list(SAID)}, Chat(SAID, (1.0, 1.0))),
    RowFormat.CONVERSATIONS: (
        {"conversations": [{"from": "human", "value": "one?"}, {"from": "gpt", "value": "uno"}]},
        Chat(SAID, (1.0, 1.0)),
    ),
    RowFormat.PROMPT_COMPLETION: ({"prompt": "one?", "completion": "uno"}, Document("one?", "uno")),
    RowFormat.ALPACA: ({"instruction": "one?", "input": "", "output": "uno"}, Chat(SAID, (1.0, 1.0))),
    RowFormat.TEXT: ({"text": "uno"}, Document("", "uno")),
    RowFormat.TEXT_LABEL: ({"text": "uno", "label": "one"}, Classified("uno", None, ("one",))),
    RowFormat.TEXT_LABELS: ({"text": "uno", "labels": ["one"]}, Classified("uno", None, ("one",), True)),
    RowFormat.TOKENS_TAGS: ({"tokens": ["red"], "tags": ["B-LIGHT"]}, LIGHT),
    RowFormat.TOKENS_NER_TAGS: ({"tokens": ["red"], "ner_tags": ["B-LIGHT"]}, replace(LIGHT, field="ner_tags")),
    RowFormat.TEXT_ENTITIES: (
        {"text": "red", "entities": [{"start": 0, "end": 3, "label": "LIGHT"}]},
        replace(LIGHT, field="entities"),
    ),
    RowFormat.SOURCE_TARGET: ({"source": "one", "target": "uno"}, Translation("one", "uno")),
    RowFormat.SQUAD: (
        ASKED | {"answers": {"text": ["red"], "answer_start": [13]}},
        Question("Which?", "The light is red.", (Answer("red", 13),)),
    ),
    RowFormat.QUESTION_ANSWER: ({"question": "Which?", "answer": "Red."}, Question("Which?", "", (Answer("Red."),))),
    RowFormat.IMAGE_CAPTION: ({"file_name": "1.png", "text": "a boat"}, Picture("1.png", "a boat", "file_name")),
}


@pytest.mark.parametrize("layout", list(ROWS))
def test_a_layout_is_recognised_by_its_columns_whatever_stands_beside_them(layout: RowFormat) -> None:
    row, expected = ROWS[layout]
    assert recognise(set(row), "a.jsonl:1") is layout
    assert recognise({*row, "id", "source"}, "a.jsonl:1") is layout
    assert interpret(layout, row | {"id": 7}) == expected
    assert task_of(layout) is TASKS[type(expected)]


def test_columns_that_fit_nothing_are_told_with_what_would() -> None:
    with pytest.raises(
        DataInvalid, match=r"a\.csv row 1: columns query, reply fit no known layout.*completion \+ prompt"
    ):
        recognise({"query", "reply"}, "a.csv row 1")
    with pytest.raises(DataInvalid) as caught:
        recognise({f"column{n:04}" for n in range(5000)}, "a.csv row 1")
    assert len(str(caught.value)) < 1500


def test_columns_that_fit_several_layouts_are_told_with_how_to_choose() -> None:
    with pytest.raises(
        DataInvalid, match=r"text fit several layouts \(Messages, Text\): name one in the source's `format`"
    ):
        recognise({"messages", "text"}, "a.jsonl:1")


def test_the_direction_of_a_translation_is_never_guessed() -> None:
    with pytest.raises(
        DataInvalid, match=r"a\.jsonl:1: .*source's `columns`, \{source: translation\.en, target: translation\.de\}"
    ):
        recognise({"id", "translation"}, "a.jsonl:1")
    assert recognise({"source", "target", "translation"}, "a.jsonl:1") is RowFormat.SOURCE_TARGET


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["red"], "answer_start": [13]},
        '{"text": ["red"], "answer_start": [13]}',
        [{"text": "red", "answer_start": 13}],
        {"text": ["red"]},
        {"text": ["red"], "answer_start": [None]},
    ],
)
def test_answers_are_read_as_the_hub_as_a_csv_and_as_squads_own_files_have_them(answers: Any) -> None:
    assert interpret(RowFormat.SQUAD, ASKED | {"answers": answers}) == ROWS[RowFormat.SQUAD][1]


@pytest.mark.parametrize("answers", [{"text": [], "answer_start": []}, {"text": []}, []])
def test_a_question_without_an_answer_has_empty_lists(answers: Any) -> None:
    assert interpret(RowFormat.SQUAD, ASKED | {"answers": answers}).answers == ()


def test_a_text_that_is_the_same_in_both_languages_is_a_translation() -> None:
    assert interpret(RowFormat.SOURCE_TARGET, {"source": "Oslo", "target": "Oslo"}) == Translation("Oslo", "Oslo")


def test_what_alpaca_gives_as_input_follows_the_instruction() -> None:
    chat = interpret(RowFormat.ALPACA, {"instruction": "Translate.", "input": "one", "output": "uno"})
    assert isinstance(chat, Chat)
    assert chat.messages[0]["content"] == "Translate.\n\none"


def test_lists_may_be_json_in_a_csv() -> None:
    assert interpret(RowFormat.MESSAGES, {"messages": '[{"role": "assistant", "content": "hi"}]'}) == Chat(
        ({"role": "assistant", "content": "hi"},), (1.0,)
    )


def test_parts_of_text_are_one_text() -> None:
    parts = [{"type": "text", "text": "o"}, {"type": "text", "text": "ne?"}]
    chat = interpret(RowFormat.MESSAGES, {"messages": [SAID[0] | {"content": parts}, SAID[1]]})
    assert chat == Chat(SAID, (1.0, 1.0))


def test_weights_are_read_and_nulls_are_as_if_left_out() -> None:
    messages = [SAID[0] | {"tool_calls": None, "weight": None}, SAID[1] | {"weight": 0, "name": None}]
    assert interpret(RowFormat.MESSAGES, {"messages": messages, "tools": None}) == Chat(SAID, (1.0, 0.0))


def said(**changes: Any) -> dict[str, Any]:
    return {"messages": [SAID[0] | changes, SAID[1]]}


def answered(**changes: Any) -> dict[str, Any]:
    return {"messages": [SAID[0], SAID[1] | changes]}


def answers(text: Any, start: Any = None) -> dict[str, Any]:
    return ASKED | {"answers": {"text": text, "answer_start": start}}


def called(arguments: str) -> dict[str, Any]:
    return answered(tool_calls=[{"function": {"name": "light", "arguments": arguments}}])


@pytest.mark.parametrize(
    ("layout", "row", "problem"),
    [
        (RowFormat.MESSAGES, {}, "messages: expected a list of messages, found null"),
        (RowFormat.MESSAGES, {"messages": []}, "messages: expected a list of messages, found []"),
        (RowFormat.MESSAGES, {"messages": "hello"}, "messages: found text that is not JSON"),
        (RowFormat.MESSAGES, {"messages": [3]}, "messages[0]: expected an object with role and content, found 3"),
        (RowFormat.MESSAGES, said(role="bot"), "messages[0].role: expected one of system, developer, user, assistant, tool, found \"bot\""),
        (RowFormat.MESSAGES, said(role=["user"]), "messages[0].role: expected one of"),
        (RowFormat.MESSAGES, said(content=4), "messages[0].content: expected text, found 4"),
        (RowFormat.MESSAGES, said(content=None), "messages[0].content: expected text, found null"),
        (RowFormat.MESSAGES, said(content=[{"type": "image_url"}]), "messages[0].content: expected text or parts of text, found {"),
        (RowFormat.MESSAGES, said(weight=2), "messages[0].weight: expected 0 or 1, found 2"),
        (RowFormat.MESSAGES, {"messages": [SAID[0]]}, "messages[0].role: the last message must be the assistant's, found 'user'"),
        (RowFormat.MESSAGES, answered(content=""), "messages[1].content: the assistant says nothing"),
        (RowFormat.MESSAGES, answered(tool_calls={"a": 1}), "messages[1].tool_calls: expected a list, found {"),
        (RowFormat.MESSAGES, answered(tool_calls=[{"name": "x"}]), "messages[1].tool_calls[0].function: expected an object"),
        (RowFormat.MESSAGES, called("{"), "messages[1].tool_calls[0].function.arguments: found text that is not JSON"),
        (RowFormat.MESSAGES, called("[1]"), "messages[1].tool_calls[0].function.arguments: expected an object, found [1]"),
        (RowFormat.MESSAGES, {"messages": list(SAID), "tools": {"a": 1}}, "tools: expected a list of objects, found {"),
        (RowFormat.CONVERSATIONS, {"conversations": [{"from": "alien", "value": "x"}]}, "conversations[0].from: expected one of system, human, user"),
        (RowFormat.CONVERSATIONS, {"conversations": ["x"]}, "conversations[0].from: expected one of"),
        (RowFormat.CONVERSATIONS, {"conversations": [{"from": ["gpt"]}]}, "conversations[0].from: expected one of"),
        (RowFormat.PROMPT_COMPLETION, {"prompt": "x", "completion": 4}, "completion: expected text, found 4"),
        (RowFormat.PROMPT_COMPLETION, {"prompt": "x", "completion": " \n"}, "completion: expected text, found nothing but white space"),
        (RowFormat.ALPACA, {"instruction": "x", "output": "y", "input": 3}, "input: expected text, found 3"),
        (RowFormat.ALPACA, {"instruction": "x", "output": ""}, "messages[1].content: the assistant says nothing"),
        (RowFormat.TEXT, {"text": " \n"}, "text: expected text, found nothing but white space"),
        (RowFormat.SOURCE_TARGET, {"source": "one", "target": " "}, "target: expected text, found nothing but white space"),
        (RowFormat.SOURCE_TARGET, {"source": "", "target": "uno"}, "source: expected text, found nothing but white space"),
        (RowFormat.SOURCE_TARGET, {"source": "one", "target": None}, "target: expected text, found null"),
        (RowFormat.SOURCE_TARGET, {"source": ["one"], "target": "uno"}, 'source: expected text, found ["one"]'),
        (RowFormat.SOURCE_TARGET, {"source": 1, "target": "uno"}, "source: expected text, found 1"),
        (RowFormat.SQUAD, answers(["red"], [13]) | {"question": " "}, "question: expected text, found nothing but white space"),
        (RowFormat.SQUAD, answers(["red"], [13]) | {"context": None}, "context: expected text, found null"),
        (RowFormat.SQUAD, answers(["red"], [13]) | {"context": ""}, "context: expected text, found nothing but white space"),
        (RowFormat.SQUAD, ASKED | {"answers": "red"}, "answers: found text that is not JSON"),
        (RowFormat.SQUAD, ASKED | {"answers": ["red"]}, 'answers: expected an object with the lists text and answer_start, found ["red"]'),
        (RowFormat.SQUAD, ASKED | {"answers": None}, "answers: expected an object with the lists text and answer_start, found null"),
        (RowFormat.SQUAD, answers("red", [13]), "answers: expected an object with the lists text and answer_start, found {"),
        (RowFormat.SQUAD, answers(["red"], [13, 2]), "answers.answer_start: expected a list of 1 numbers, one for each text, found [13, 2]"),
        (RowFormat.SQUAD, answers(["red"], 13), "answers.answer_start: expected a list of 1 numbers, one for each text, found 13"),
        (RowFormat.SQUAD, answers(["red"], [-1]), "answers.answer_start[0]: expected a character's number from 0 on, found -1"),
        (RowFormat.SQUAD, answers(["red"], ["13"]), 'answers.answer_start[0]: expected a character\'s number from 0 on, found "13"'),
        (RowFormat.SQUAD, answers(["red"], [True]), "answers.answer_start[0]: expected a character's number from 0 on, found true"),
        (RowFormat.SQUAD, answers(["red"], [12]),
         'answers.answer_start[0]: expected "red" at character 12 of the context, found " re": it stands at 13'),
        (RowFormat.SQUAD, answers(["blue"], [13]),
         'answers.answer_start[0]: expected "blue" at character 13 of the context, found "red.": it is nowhere in the context'),
        (RowFormat.SQUAD, answers(["red"], [999]), 'answers.answer_start[0]: expected "red" at character 999 of the context, found "": it'),
        (RowFormat.SQUAD, answers(["red", "blue"], [13, None]), 'answers.text[1]: expected words of the context, found "blue", which is not in it'),
        (RowFormat.SQUAD, answers(["e"]), 'answers.text[0]: "e" stands 2 times in the context: say which is meant by answers.answer_start'),
        (RowFormat.SQUAD, answers([""], [0]), 'answers.text[0]: expected words of the context, found ""; a question without an answer has'),
        (RowFormat.SQUAD, answers([4], [0]), "answers.text[0]: expected words of the context, found 4"),
        (RowFormat.QUESTION_ANSWER, {"question": "Which?", "answer": " "}, "answer: expected text, found nothing but white space"),
        (RowFormat.QUESTION_ANSWER, {"question": "Which?", "answer": "Red.", "context": 3}, "context: expected text, found 3"),
    ],
)  # fmt: skip
def test_a_fault_is_told_by_field_found_and_expected(layout: RowFormat, row: dict[str, Any], problem: str) -> None:
    with pytest.raises(RowProblem) as caught:
        interpret(layout, row)
    assert str(caught.value).startswith(problem)


def test_what_was_found_is_told_in_few_words() -> None:
    with pytest.raises(RowProblem) as caught:
        interpret(RowFormat.TEXT, {"text": ["x" * 10_000_000]})
    assert len(str(caught.value)) < 100
