"""Named chat templates: each writes what its family has published, learns the assistant's words and ends of turn alone, and goes on as it
began. The expected texts are written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.trainer import tiny
from tests.trainer.data import chats
from tests.trainer.data.chats import chat, passages, render
from tests.trainer.data.plainly import judged
from tests.trainer.trainees import run_here
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from skipjack.api.v1alpha1.dataset import ChatTemplate, RowFormat, TrainOn
from skipjack_trainer.data.formats import RowProblem, interpret
from skipjack_trainer.data.templates import NEEDS, bared, dressed
from skipjack_trainer.errors import ConfigurationInvalid

PLAIN = chat("one?", "uno", "two?", "dos")
SYSTEM = chat("system:Speak Spanish.", "one?", "uno", "two?", "dos")
TOOL = {"type": "function", "function": {"name": "light", "parameters": {"type": "object"}}}
CALLS = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Which?"},
        {"role": "assistant", "content": "I look.", "tool_calls": [
            {"id": "1", "function": {"name": "light", "arguments": '{"number": 3}'}},
            {"id": "2", "function": {"name": "light", "arguments": "{}"}},
        ]},
        {"role": "tool", "content": "red", "tool_call_id": "1"},
        {"role": "tool", "content": "off", "tool_call_id": "2"},
        {"role": "assistant", "content": "Red."},
        {"role": "user", "content": "And now?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "3", "function": {"name": "light", "arguments": "{}"}}]},
    ],
    "tools": [TOOL],
}  # fmt: skip
QWEN = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
QWEN_CALLS = """<|im_start|>system
Be brief.

# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{"type": "function", "function": {"name": "light", "parameters": {"type": "object"}}}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
<|im_start|>user
Which?<|im_end|>
<|im_start|>assistant
I look.
<tool_call>
{"name": "light", "arguments": {"number": 3}}
</tool_call>
<tool_call>
{"name": "light", "arguments": {}}
</tool_call><|im_end|>
<|im_start|>user
<tool_response>
red
</tool_response>
<tool_response>
off
</tool_response><|im_end|>
<|im_start|>assistant
Red.<|im_end|>
<|im_start|>user
And now?<|im_end|>
<|im_start|>assistant
<tool_call>
{"name": "light", "arguments": {}}
</tool_call><|im_end|>
"""
QWEN_LEARNT = [
    'I look.\n<tool_call>\n{"name": "light", "arguments": {"number": 3}}\n</tool_call>\n<tool_call>\n{"name": "light", "arguments": {}}\n'
    "</tool_call><|im_end|>",
    "Red.<|im_end|>",
    '<tool_call>\n{"name": "light", "arguments": {}}\n</tool_call><|im_end|>',
]
TURNS = "<|im_start|>user\none?<|im_end|>\n<|im_start|>assistant\nuno<|im_end|>\n<|im_start|>user\ntwo?<|im_end|>\n<|im_start|>assistant\ndos<|im_end|>\n"
SPOKEN = "<|im_start|>system\nSpeak Spanish.<|im_end|>\n"
LLAMA_TURNS = (
    "<|start_header_id|>user<|end_header_id|>\n\none?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nuno<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\ntwo?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\ndos<|eot_id|>"
)
PHI_3_TURNS = "<|user|>\none?<|end|>\n<|assistant|>\nuno<|end|>\n<|user|>\ntwo?<|end|>\n<|assistant|>\ndos<|end|>\n"
PHI_4_TURNS = (
    "<|im_start|>user<|im_sep|>one?<|im_end|><|im_start|>assistant<|im_sep|>uno<|im_end|>"
    "<|im_start|>user<|im_sep|>two?<|im_end|><|im_start|>assistant<|im_sep|>dos<|im_end|>"
)
GEMMA_REST = "one?<end_of_turn>\n<start_of_turn>model\nuno<end_of_turn>\n<start_of_turn>user\ntwo?<end_of_turn>\n<start_of_turn>model\ndos<end_of_turn>\n"
ZEPHYR_TURNS = "<|user|>\none?</s>\n<|assistant|>\nuno</s>\n<|user|>\ntwo?</s>\n<|assistant|>\ndos</s>\n"
WRITTEN: dict[ChatTemplate, tuple[str, str]] = {
    ChatTemplate.CHATML: (TURNS, SPOKEN + TURNS),
    ChatTemplate.GEMMA: (f"<s><start_of_turn>user\n{GEMMA_REST}", f"<s><start_of_turn>user\nSpeak Spanish.\n\n{GEMMA_REST}"),
    ChatTemplate.LLAMA_3: (
        f"<s>{LLAMA_TURNS}", f"<s><|start_header_id|>system<|end_header_id|>\n\nSpeak Spanish.<|eot_id|>{LLAMA_TURNS}"
    ),
    ChatTemplate.MISTRAL: (
        "<s>[INST] one?[/INST] uno</s>[INST] two?[/INST] dos</s>",
        "<s>[INST] Speak Spanish.\n\none?[/INST] uno</s>[INST] two?[/INST] dos</s>",
    ),
    ChatTemplate.PHI_3: (PHI_3_TURNS, f"<|system|>\nSpeak Spanish.<|end|>\n{PHI_3_TURNS}"),
    ChatTemplate.PHI_4: (PHI_4_TURNS, f"<|im_start|>system<|im_sep|>Speak Spanish.<|im_end|>{PHI_4_TURNS}"),
    ChatTemplate.QWEN_2_5: (f"<|im_start|>system\n{QWEN}<|im_end|>\n{TURNS}", SPOKEN + TURNS),
    ChatTemplate.QWEN_3: (TURNS, SPOKEN + TURNS),
    ChatTemplate.ZEPHYR: (ZEPHYR_TURNS, f"<|system|>\nSpeak Spanish.</s>\n{ZEPHYR_TURNS}"),
}  # fmt: skip
ENDS = {
    ChatTemplate.GEMMA: "<end_of_turn>", ChatTemplate.LLAMA_3: "<|eot_id|>", ChatTemplate.MISTRAL: "</s>",
    ChatTemplate.PHI_3: "<|end|>", ChatTemplate.ZEPHYR: "</s>",
}  # fmt: skip
WITH_TOOLS = (ChatTemplate.QWEN_2_5, ChatTemplate.QWEN_3)
EVERY = pytest.mark.parametrize("name", list(ChatTemplate))


def words_of(name: ChatTemplate) -> PreTrainedTokenizerFast:
    """A base model's tokenizer, without a template, that has the tokens of every family; dressed."""
    made = tiny.tokenizer(None)
    made.add_special_tokens({"additional_special_tokens": chats.SPECIAL})
    made.eos_token = "</s>"
    told: PreTrainedTokenizerFast = dressed(made, name)
    return told


def messages_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    return list(interpret(RowFormat.MESSAGES, row).messages)


@EVERY
@pytest.mark.parametrize("row", [PLAIN, SYSTEM], ids=["bare", "system"])
def test_it_writes_what_its_family_has_published(name: ChatTemplate, row: dict[str, Any]) -> None:
    words = words_of(name)
    expected = WRITTEN[name][row is SYSTEM]
    assert words.apply_chat_template(row["messages"], tokenize=False) == expected
    assert words.decode(render(interpret(RowFormat.MESSAGES, row), words, TrainOn.ASSISTANT).input_ids) == expected


@EVERY
def test_it_learns_the_assistants_words_and_ends_of_turn_and_nothing_else(name: ChatTemplate) -> None:
    words, end = words_of(name), ENDS.get(name, "<|im_end|>")
    before = " " if name is ChatTemplate.MISTRAL else ""
    row = interpret(RowFormat.MESSAGES, SYSTEM)
    assert passages(render(row, words, TrainOn.ASSISTANT), words) == [f"{before}uno{end}", f"{before}dos{end}"]
    assert passages(render(row, words, TrainOn.LAST_ASSISTANT), words) == [f"{before}dos{end}"]
    assert words.eos_token == end, "the tuned model stops where a turn ends"
    muted = chat("one?", "uno", "two?", "dos")
    muted["messages"][3]["weight"] = 0
    assert passages(render(interpret(RowFormat.MESSAGES, muted), words, TrainOn.ASSISTANT), words) == [
        f"{before}uno{end}"
    ]


@EVERY
def test_its_markers_and_its_prefixes_tell_the_same(name: ChatTemplate) -> None:
    words = words_of(name)
    example = render(interpret(RowFormat.MESSAGES, SYSTEM), words, TrainOn.ASSISTANT)
    ids, weights = judged(SYSTEM["messages"], words, TrainOn.ASSISTANT)
    assert (example.input_ids.tolist(), example.weights.tolist()) == (ids, weights)


@EVERY
def test_a_chat_goes_on_as_it_began_and_an_answer_where_it_was_asked_for(name: ChatTemplate) -> None:
    words = words_of(name)
    for row in (PLAIN, SYSTEM, *([CALLS] if name in WITH_TOOLS else [])):
        said, tools = messages_of(row), row.get("tools")
        whole = words.apply_chat_template(said, tools=tools, tokenize=False)
        for index, message in enumerate(said):
            if message["role"] == "assistant":
                asked = words.apply_chat_template(said[:index], tools=tools, tokenize=False, add_generation_prompt=True)
                answered = words.apply_chat_template(said[: index + 1], tools=tools, tokenize=False)
                assert whole.startswith(asked)
                assert whole.startswith(answered)
                assert answered.startswith(asked)


@pytest.mark.parametrize("name", WITH_TOOLS)
def test_tools_calls_and_their_results_are_written_and_calls_alone_learnt(name: ChatTemplate) -> None:
    words = words_of(name)
    example = render(interpret(RowFormat.MESSAGES, CALLS), words, TrainOn.ASSISTANT)
    assert words.decode(example.input_ids) == QWEN_CALLS
    assert passages(example, words) == QWEN_LEARNT


def test_thoughts_are_written_and_learnt_wherever_a_message_has_some() -> None:
    row = chat("one?", "uno", "two?", "dos")
    row["messages"][1]["reasoning_content"] = "Spanish."
    words = words_of(ChatTemplate.QWEN_3)
    learnt = passages(render(interpret(RowFormat.MESSAGES, row), words, TrainOn.ASSISTANT), words)
    assert learnt == ["<think>\nSpanish.\n</think>\n\nuno<|im_end|>", "dos<|im_end|>"]


@pytest.mark.parametrize("name", [name for name in ChatTemplate if name not in WITH_TOOLS])
def test_a_family_without_tools_refuses_them_rather_than_leave_them_out(name: ChatTemplate) -> None:
    words = words_of(name)
    for row in (CALLS, PLAIN | {"tools": [TOOL]}, CALLS | {"tools": None}):
        with pytest.raises(RowProblem, match=r"the model's chat template refuses them: .*tools?"):
            render(interpret(RowFormat.MESSAGES, row), words, TrainOn.ASSISTANT)


@pytest.mark.parametrize("name", [ChatTemplate.GEMMA, ChatTemplate.MISTRAL])
@pytest.mark.parametrize(
    "roles", ["assistant", "user user assistant", "user assistant assistant", "user system assistant"]
)
def test_roles_out_of_order_are_refused_where_the_family_has_an_order(name: ChatTemplate, roles: str) -> None:
    row = {"messages": [{"role": role, "content": "x"} for role in roles.split()]}
    with pytest.raises(RowProblem, match="user and assistant take turns, the user first"):
        render(interpret(RowFormat.MESSAGES, row), words_of(name), TrainOn.ASSISTANT)


def test_a_tokenizer_that_lacks_a_templates_tokens_is_told_with_those_it_can_have() -> None:
    words = tiny.tokenizer(None)
    with pytest.raises(
        ConfigurationInvalid,
        match=r"chatTemplate: llama-3 needs <\|start_header_id\|>, <\|end_header_id\|>, <\|eot_id\|>, .*it can have: chatml, mistral, .*zephyr",
    ):
        dressed(words, ChatTemplate.LLAMA_3)
    assert words.chat_template is None
    words.bos_token = words.eos_token = None
    with pytest.raises(ConfigurationInvalid, match="mistral needs an end of sequence, a beginning of sequence"):
        dressed(words, ChatTemplate.MISTRAL)


@EVERY
def test_what_is_stored_has_no_markers_and_writes_the_same(name: ChatTemplate) -> None:
    words = words_of(name)
    tools = [TOOL] if name in WITH_TOOLS else None
    options = [{"add_generation_prompt": asks, "tools": tools, "tokenize": False} for asks in (False, True)]
    said = messages_of(CALLS) if tools else SYSTEM["messages"]
    trained = [words.apply_chat_template(said, **how) for how in options]
    bared(words, name)
    assert "generation -%}" not in words.chat_template
    assert [words.apply_chat_template(said, **how) for how in options] == trained
    assert set(NEEDS) == set(ChatTemplate)


def test_a_base_model_is_trained_by_a_named_template_and_keeps_it(tmp_path: Any) -> None:
    dataset = {"train": [{"uri": "configmap://data/train.jsonl"}], "chatTemplate": "chatml"}
    changes = {"hyperparameters": {"maxSteps": 1, "globalBatchSize": 2}, "method": {"type": "Full"}}
    root = tiny.furnish(tmp_path, tiny.resolved(dataset=dataset, **changes))
    base = tmp_path / "mnt/claims/models/base"
    bare = tiny.tokenizer(None)
    bare.eos_token = "</s>"
    (base / "chat_template.jinja").unlink(missing_ok=True)
    bare.save_pretrained(base)
    run_here(root)
    told = AutoTokenizer.from_pretrained(tmp_path / "mnt/claims/models/out")
    assert told.eos_token == "<|im_end|>"
    assert told.apply_chat_template(PLAIN["messages"], tokenize=False) == TURNS
    assert "endgeneration" not in told.chat_template
    generation = (tmp_path / "mnt/claims/models/out/generation_config.json").read_text()
    assert f'"eos_token_id": {told.eos_token_id}' in generation
