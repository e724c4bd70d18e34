"""Which words are learnt, for templates in the shape of the families that people tune."""

from __future__ import annotations

from typing import Any

import pytest
from tests.trainer.data import chats
from tests.trainer.data.chats import chat, learnt, passages, render, rendered, tokenizer

from skipjack.api.v1alpha1.dataset import RowFormat, TrainOn
from skipjack_trainer.data.formats import Document, RowProblem, interpret
from skipjack_trainer.errors import ConfigurationInvalid

TWO_TURNS = chat("one?", "uno", "two?", "dos")
WITH_SYSTEM = chat("system:Speak Spanish.", "one?", "uno")


@pytest.mark.parametrize(
    ("template", "first", "last"),
    [
        pytest.param(chats.SMOLLM, "uno<|im_end|>", "dos<|im_end|>", id="chatml"),
        pytest.param(chats.LLAMA, "uno<|eot_id|>", "dos<|eot_id|>", id="llama3"),
        pytest.param(chats.PHI, "uno<|end|>", "dos<|end|>\n<|endoftext|>", id="phi3"),
        pytest.param(chats.GEMMA, "uno<end_of_turn>", "dos<end_of_turn>", id="gemma"),
        pytest.param(chats.MISTRAL, " uno</s>", " dos</s>", id="mistral"),
        pytest.param(chats.MARKED, "uno<|im_end|>", "dos<|im_end|>", id="markers"),
        pytest.param(chats.PLAIN, "uno", "dos<|im_end|>", id="nothing to stop at"),
        pytest.param(chats.MARKED_WITHOUT_END, "uno<|im_end|>", "dos<|im_end|>", id="markers without end of turn"),
    ],
)
def test_what_the_assistant_says_is_learnt_end_of_turn_included_and_nothing_else(
    template: str, first: str, last: str
) -> None:
    assert learnt(template, TWO_TURNS) == [first, last]
    assert learnt(template, TWO_TURNS, TrainOn.LAST_ASSISTANT) == [last]
    muted = chat("one?", "uno", "two?", "dos")
    muted["messages"][1]["weight"] = 0
    assert learnt(template, muted) == [last]
    everything = rendered(template, TWO_TURNS, TrainOn.ALL)
    assert everything.weights.tolist() == [0.0] + [1.0] * (len(everything) - 1)


@pytest.mark.parametrize("template", [chats.SMOLLM, chats.LLAMA, chats.PHI, chats.MARKED])
def test_a_system_message_is_read_and_not_learnt(template: str) -> None:
    example = rendered(template, WITH_SYSTEM)
    assert "Speak Spanish." in tokenizer(template).decode(example.input_ids)
    assert all(passage.startswith("uno") for passage in learnt(template, WITH_SYSTEM))


@pytest.mark.parametrize("template", [chats.SMOLLM, chats.LLAMA, chats.PHI, chats.GEMMA, chats.MISTRAL])
def test_a_chat_holds_each_special_token_as_often_as_its_template_writes_it(template: str) -> None:
    words = tokenizer(template)
    text = words.apply_chat_template(TWO_TURNS["messages"], tokenize=False)
    assert words.decode(rendered(template, TWO_TURNS).input_ids) == text
    assert text.count("<s>") + text.count("<bos>") + text.count("<|begin_of_text|>") <= 1


def test_a_template_that_rewrites_earlier_turns_is_refused_with_what_can_be_done() -> None:
    with pytest.raises(ConfigurationInvalid, match=r"rewrites earlier turns \(message 1.*trainOn: LastAssistant"):
        learnt(chats.THINKING, TWO_TURNS)
    assert learnt(chats.THINKING, TWO_TURNS, TrainOn.LAST_ASSISTANT) == ["(thought)dos<|im_end|>"]
    assert learnt(chats.THINKING, chat("one?", "uno")) == ["(thought)uno<|im_end|>"]


@pytest.mark.parametrize("template", [chats.SMOLLM, chats.LLAMA, chats.PHI, chats.MARKED])
def test_of_a_chat_that_the_assistant_begins_only_its_words_are_learnt(template: str) -> None:
    row = {"messages": [{"role": "assistant", "content": "hola"}, *TWO_TURNS["messages"]]}
    assert [passage[:4] for passage in learnt(template, row)] == ["hola", "uno<", "dos<"]


@pytest.mark.parametrize("template", [chats.SMOLLM, chats.LLAMA, chats.PHI])
def test_a_developer_is_a_system_to_a_template_that_does_not_know_one(template: str) -> None:
    row = {"messages": [{"role": "developer", "content": "Be brief."}, *TWO_TURNS["messages"]]}
    text = tokenizer(template).decode(rendered(template, row).input_ids)
    assert "developer" not in text
    assert "system" in text


def test_tools_and_calls_are_written_as_the_template_writes_them_and_the_call_is_learnt() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "light", "arguments": '{"number": 3}'}}
    row: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": "which?"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "content": "red", "tool_call_id": "c1"},
            {"role": "assistant", "content": "It is red."},
        ],
        "tools": [{"type": "function", "function": {"name": "light"}}],
    }
    assert learnt(chats.LLAMA, row) == [
        '{"name": "light", "parameters": {"number": 3}}<|eot_id|>',
        "It is red.<|eot_id|>",
    ]
    text = tokenizer(chats.LLAMA).decode(rendered(chats.LLAMA, row).input_ids)
    assert '{"type": "function", "function": {"name": "light"}}' in text


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (chat("which?", "red", tools=[{"type": "function", "function": {"name": "light"}}]), "tools"),
        (chat("which?", "red", tools=[{"name": "light"}]), "tools"),
        ({"messages": [
            {"role": "user", "content": "which?"},
            {"role": "assistant", "tool_calls": [{"function": {"name": "light", "arguments": "{}"}}]},
        ]}, "tool_calls"),
    ],
)  # fmt: skip
def test_a_template_that_leaves_tools_out_is_refused_before_a_model_learns_to_say_nothing(
    row: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigurationInvalid, match=rf"leaves {field} out .*'light'.*dataset\.chatTemplate, qwen-3"):
        rendered(chats.SMOLLM, row)


def test_what_the_template_refuses_is_a_fault_of_the_row() -> None:
    with pytest.raises(RowProblem, match="the model's chat template refuses them: no system role"):
        rendered(chats.GEMMA, WITH_SYSTEM)


def test_a_broken_template_is_a_fault_of_the_model() -> None:
    with pytest.raises(ConfigurationInvalid, match="chat template is broken"):
        rendered("{% for m in messages %}", TWO_TURNS)


def test_a_chat_without_a_template_is_refused_with_what_can_be_done() -> None:
    bare = tokenizer(chats.SMOLLM, "<|im_end|>")
    row = interpret(RowFormat.MESSAGES, TWO_TURNS)
    kept, bare.chat_template = bare.chat_template, None
    try:
        with pytest.raises(ConfigurationInvalid, match=r"no chat template.*name one in dataset\.chatTemplate"):
            render(row, bare, TrainOn.ASSISTANT)
    finally:
        bare.chat_template = kept


def test_a_chat_in_which_nothing_is_learnt_is_refused() -> None:
    row = chat("one?", "uno")
    row["messages"][1]["weight"] = 0
    with pytest.raises(RowProblem, match="nothing in it is learnt"):
        rendered(chats.SMOLLM, row)


def test_of_a_prompt_with_a_completion_the_completion_and_its_end_are_learnt() -> None:
    words = tokenizer(chats.SMOLLM)
    assert passages(render(Document("light 3 is:", "red"), words, TrainOn.ASSISTANT), words) == ["red<|im_end|>"]
    assert passages(render(Document("light 3 is:", "x"), words, TrainOn.ASSISTANT), words) == ["x<|im_end|>"]
    across = render(Document("light 3 is ", "red"), words, TrainOn.ASSISTANT)
    assert passages(across, words) == [" red<|im_end|>"], "the token that both share is the completion's"
    whole = render(Document("light 3 is ", "red"), words, TrainOn.ALL)
    assert words.decode(whole.input_ids) == "light 3 is red<|im_end|>"
    assert passages(whole, words) == [words.decode(whole.input_ids[1:])]


def test_of_a_text_all_but_its_first_token_is_learnt() -> None:
    words = tokenizer(chats.SMOLLM)
    example = render(Document("", "the light is red"), words, TrainOn.ASSISTANT)
    assert example.weights.tolist() == [0.0] + [1.0] * (len(example) - 1)
    assert example.input_ids[-1] == words.eos_token_id


def test_a_completion_whose_end_has_no_token_is_refused_and_a_text_is_not() -> None:
    endless = tiny_without_eos()
    with pytest.raises(ConfigurationInvalid, match="no end-of-sequence token"):
        render(Document("one", "two"), endless, TrainOn.ASSISTANT)
    assert len(render(Document("", "one two"), endless, TrainOn.ASSISTANT))


def tiny_without_eos() -> Any:
    from tests.trainer import tiny

    made = tiny.tokenizer(None)
    made.eos_token = None
    return made
