"""Preferences: TRL's and OpenAI's shapes, the catalogue of what is wrong with them, and the examples that they become."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.trainer import tiny
from tests.trainer.preferences import judgements, pair, texts

from skipjack.api.v1alpha1.dataset import RowFormat
from skipjack_trainer.data.example import Example, first_of_each
from skipjack_trainer.data.formats import Chat, Document, Judged, Pair, RowProblem, interpret, recognise
from skipjack_trainer.data.prepare import Prepared, prepare
from skipjack_trainer.data.sources import fetch
from skipjack_trainer.data.writers.preference import DESIRABLE, MISMATCHED, MISMATCHED_WEIGHTS, WINDOW
from skipjack_trainer.errors import ConfigurationInvalid, DataInvalid
from skipjack_trainer.storage import Access

ASKED = [{"role": "user", "content": "which?"}]
YES, NO = ({"role": "assistant", "content": word} for word in ("yes", "no"))
TALK = [*ASKED, {"role": "assistant", "content": "what?"}, {"role": "user", "content": "the light"}]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
BOTH = Pair(Chat((*ASKED, YES), (0.0, 1.0)), Chat((*ASKED, NO), (0.0, 1.0)))


def chats(prompt: Any = ASKED, chosen: Any = (YES,), rejected: Any = (NO,)) -> dict[str, Any]:
    return {"prompt": list(prompt), "chosen": list(chosen), "rejected": list(rejected)}


def whole(chosen: Any, rejected: Any) -> dict[str, Any]:
    return {"chosen": chosen, "rejected": rejected}


def openai(preferred: Any = (YES,), other: Any = (NO,), **given: Any) -> dict[str, Any]:
    told = {"messages": ASKED} | given
    return {"input": told, "preferred_output": list(preferred), "non_preferred_output": list(other)}


def judged(label: Any, prompt: Any = "which?", completion: Any = " yes") -> dict[str, Any]:
    return {"prompt": prompt, "completion": completion, "label": label}


READ: list[tuple[RowFormat, dict[str, Any], Pair | Judged]] = [
    (RowFormat.PROMPT_CHOSEN_REJECTED, {"prompt": "a", "chosen": " b", "rejected": " c"}, Pair(Document("a", " b"), Document("a", " c"))),
    (RowFormat.PROMPT_CHOSEN_REJECTED, chats(), BOTH),
    (RowFormat.PROMPT_CHOSEN_REJECTED, {k: json.dumps(v) for k, v in chats().items()}, BOTH),
    (RowFormat.PROMPT_CHOSEN_REJECTED, {"prompt": "which?", **whole([*ASKED, YES], [*ASKED, NO]), "score_chosen": 8.0}, BOTH),
    (RowFormat.CHOSEN_REJECTED, whole([*ASKED, YES], [*ASKED, NO]), BOTH),
    (RowFormat.CHOSEN_REJECTED, whole([*TALK, YES], [*TALK, NO]),
     Pair(Chat((*TALK, YES), (0.0, 0.0, 0.0, 1.0)), Chat((*TALK, NO), (0.0, 0.0, 0.0, 1.0)))),
    (RowFormat.CHOSEN_REJECTED, whole([*ASKED, YES, YES], [*ASKED, YES]),
     Pair(Chat((*ASKED, YES, YES), (0.0, 1.0, 1.0)), Chat((*ASKED, YES), (0.0, 1.0)))),
    (RowFormat.CHOSEN_REJECTED, whole("A: the cat", "A: the car"), Pair(Document("A: the", " cat"), Document("A: the", " car"))),
    (RowFormat.CHOSEN_REJECTED, whole("A: yes", "A: yes, sir"), Pair(Document("A:", " yes"), Document("A:", " yes, sir"))),
    (RowFormat.CHOSEN_REJECTED, whole("yes", "no"), Pair(Document("", "yes"), Document("", "no"))),
    (RowFormat.PREFERRED_OUTPUT, openai(parallel_tool_calls=True), BOTH),
    (RowFormat.PREFERRED_OUTPUT, openai(tools=TOOLS),
     Pair(Chat((*ASKED, YES), (0.0, 1.0), tuple(TOOLS)), Chat((*ASKED, NO), (0.0, 1.0), tuple(TOOLS)))),
    (RowFormat.PREFERRED_COMPLETION,
     {"input": {"messages": ASKED}, "preferred_completion": [YES], "non_preferred_completion": [NO]}, BOTH),
    (RowFormat.PROMPT_COMPLETION_LABEL, judged(True), Judged(Document("which?", " yes"), True)),
    (RowFormat.PROMPT_COMPLETION_LABEL, judged("false"), Judged(Document("which?", " yes"), False)),
    (RowFormat.PROMPT_COMPLETION_LABEL, judged(False, ASKED, [NO]), Judged(BOTH.rejected, False)),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "row", "expected"), READ)
def test_a_row_is_recognised_and_read(layout: RowFormat, row: dict[str, Any], expected: Pair | Judged) -> None:
    assert recognise({*row, "score_chosen", "score_rejected"}, "a.jsonl:1") is layout
    assert interpret(layout, row) == expected


SAME = "rejected: it says the same as chosen: leave the row out"
FAULTS: list[tuple[RowFormat, dict[str, Any], str]] = [
    (RowFormat.PROMPT_CHOSEN_REJECTED, {"prompt": "a", "chosen": " b", "rejected": " b"}, SAME),
    (RowFormat.PROMPT_CHOSEN_REJECTED, chats(rejected=[YES]), SAME),
    (RowFormat.CHOSEN_REJECTED, whole([*ASKED, YES], [*ASKED, YES]), SAME),
    (RowFormat.PREFERRED_OUTPUT, openai(other=[YES]), SAME),
    (RowFormat.PROMPT_CHOSEN_REJECTED, {"prompt": "a", "chosen": " b", "rejected": " "}, "rejected: expected text, found nothing"),
    (RowFormat.PROMPT_CHOSEN_REJECTED, {"prompt": "a", "chosen": 5, "rejected": " b"}, "chosen: expected a list of messages, found 5"),
    (RowFormat.PROMPT_CHOSEN_REJECTED, chats(chosen=[]), "chosen: expected a list of messages, found []"),
    (RowFormat.PROMPT_CHOSEN_REJECTED, chats(chosen=[*ASKED, YES]), "chosen[0].role: an answer is the assistant's (or a tool's), found 'user'"),
    (RowFormat.PROMPT_CHOSEN_REJECTED, chats(rejected=[NO, {"role": "tool", "content": "7"}]),
     "rejected[1].role: the last message must be the assistant's, found 'tool'"),
    (RowFormat.PROMPT_CHOSEN_REJECTED, chats(chosen=[YES | {"weight": 0}]), "chosen: every message of the answer has weight 0"),
    (RowFormat.PROMPT_CHOSEN_REJECTED, {"prompt": "other", **whole([*ASKED, YES], [*ASKED, NO])}, "prompt: it is text, and no message of"),
    (RowFormat.CHOSEN_REJECTED, whole([*ASKED, YES], [{"role": "user", "content": "what?"}, YES]), "chosen[0]: the prompts of chosen and"),
    (RowFormat.CHOSEN_REJECTED, whole([*TALK, YES], [*ASKED, NO]), "chosen[2].role: an answer is the assistant's (or a tool's), found 'user'"),
    (RowFormat.CHOSEN_REJECTED, whole("A: ", "A: no"), "chosen: it ends where the other's answer begins"),
    (RowFormat.CHOSEN_REJECTED, whole("yes", [*ASKED, NO]), "chosen: found text that is not JSON"),
    (RowFormat.PREFERRED_OUTPUT, openai() | {"input": "which?"}, "input: found text that is not JSON"),
    (RowFormat.PREFERRED_OUTPUT, openai() | {"input": [1]}, "input: expected an object with messages, found [1]"),
    (RowFormat.PREFERRED_OUTPUT, openai(messages=[]), "input.messages: expected a list of messages, found []"),
    (RowFormat.PREFERRED_OUTPUT, openai(tools="look"), "tools: found text that is not JSON"),
    (RowFormat.PREFERRED_OUTPUT, openai(preferred=[{"role": "model", "content": "yes"}]), "preferred_output[0].role: expected one of"),
    (RowFormat.PROMPT_COMPLETION_LABEL, judged(1), "label: expected true or false, found 1"),
    (RowFormat.PROMPT_COMPLETION_LABEL, judged("good"), "label: found text that is not JSON"),
    (RowFormat.PROMPT_COMPLETION_LABEL, judged(None), "label: expected true or false, found null"),
    (RowFormat.PROMPT_COMPLETION_LABEL, judged(True, completion=""), "completion: expected text, found nothing but white space"),
    (RowFormat.PROMPT_COMPLETION_LABEL, judged(True, prompt=None), "prompt: expected text, found null"),
]  # fmt: skip


@pytest.mark.parametrize(("layout", "row", "problem"), FAULTS)
def test_a_fault_is_told_by_field_found_and_expected(layout: RowFormat, row: dict[str, Any], problem: str) -> None:
    with pytest.raises(RowProblem) as caught:
        interpret(layout, row)
    assert str(caught.value).startswith(problem)


def prepared(root: Path, rows: list[dict[str, Any]], **changes: Any) -> Prepared:
    folder = root / "configmaps/data"
    folder.mkdir(parents=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = tiny.resolved(**{"dataset": {"train": [{"uri": "configmap://data/train.jsonl"}]}} | changes)
    access = Access(configmaps=root / "configmaps", scratch=root / "scratch")
    return prepare(told, fetch(told, access), tiny.tokenizer(), tiny.FACTS, access.scratch)


def learnt(ids: np.ndarray, weights: np.ndarray) -> str:
    return str(tiny.tokenizer().decode(ids[weights > 0]))


def test_both_answers_are_sequences_with_the_prompt_of_which_nothing_is_learnt(tmp_path: Path) -> None:
    example = prepared(tmp_path, [chats(TALK), chats()]).train[0]
    (chosen, chosen_weights), (rejected, rejected_weights) = example.sequences()
    assert learnt(chosen, chosen_weights) == "yes<|im_end|>"
    assert learnt(rejected, rejected_weights) == "no<|im_end|>"
    asked = [ids[weights == 0] for ids, weights in example.sequences()]
    assert np.array_equal(*asked), "the end of the turn stands in it too"
    assert example.weight == 1


def test_a_cut_keeps_both_answers_within_the_length_or_drops_the_pair(tmp_path: Path) -> None:
    rows = [{"prompt": f"light {n}", "chosen": " the red light" * n, "rejected": " hello"} for n in range(1, 9)]
    rows.append({"prompt": "light " * 30, "chosen": " yes", "rejected": " hello"})
    told = prepared(tmp_path, rows, hyperparameters={"maxSteps": 2, "maxLength": 12})
    assert told.facts["droppedRows"] == 1
    assert told.facts["cutRows"] > 0
    for example in told.train:
        assert example.longest <= 12
        assert all(weights.any() for _, weights in example.sequences())
        assert sum(example.parts) == len(example)
    assert not first_of_each(pair(1), 2).weights.any(), "nothing of one answer is left"


def mismatches(examples: list[Example]) -> list[tuple[str, str]]:
    """(the row's prompt, the answer that stands beside it)."""
    told = []
    for example in examples:
        ids, weights = example.beside[MISMATCHED], example.beside[MISMATCHED_WEIGHTS]
        prompt = example.input_ids[: np.argmax(example.weights > 0)]
        assert np.array_equal(ids[: len(prompt)], prompt)
        assert not weights[: len(prompt)].any()
        told.append((str(tiny.tokenizer().decode(prompt)), learnt(ids, weights)))
    return told


def test_a_mismatched_answer_is_one_to_another_prompt(tmp_path: Path) -> None:
    count = 2 * WINDOW + 1
    rows = [judged(n % 2 > 0, f"light {n // 2}", f" the light {n // 2}") for n in range(count)]
    train = prepared(tmp_path, rows).train
    assert [bool(example.beside[DESIRABLE][0]) for example in train] == [row["label"] for row in rows]
    for prompt, answer in mismatches(list(train)):
        assert answer.removesuffix("<|im_end|>").rpartition(" ")[2] != prompt.rpartition(" ")[2]


@pytest.mark.parametrize(
    ("rows", "changes", "refusal"),
    [
        (texts(4), {"preference": {"loss": "KTO"}}, "KTO learns from single answers with a label, dataset.train has pairs of answers: choose DPO"),
        (judgements(4), {"preference": {"loss": "IPO"}}, "IPO learns from pairs of answers, dataset.train has single .*: choose KTO"),
        (judgements(8)[1::2], {}, "dataset.train: the label of every row is true; KTO learns from the difference"),
        (judgements(8)[::2], {}, "dataset.train: the label of every row is false"),
        (texts(4), {"task": "Chat"}, "spec.task is Chat, the data is for Preference"),
        (tiny.chats(4), {"preference": {"loss": "DPO"}}, "spec.preference: it is for task Preference, this one is Chat"),
        (texts(4), {"hyperparameters": {"labelSmoothing": 0.1}}, "set preference.labelSmoothing instead"),
        (texts(4), {"dataset": {"train": [{"uri": "configmap://data/train.jsonl"}], "trainOn": "All"}}, "choose Assistant or LastAssistant"),
        ([texts(1)[0] | {"rejected": " the red light"}], {}, "train.jsonl:1: rejected: it says the same as chosen"),
    ],
)  # fmt: skip
def test_rows_that_the_loss_cannot_learn_from_are_refused_with_what_to_do(
    rows: list[dict[str, Any]], changes: dict[str, Any], refusal: str, tmp_path: Path
) -> None:
    with pytest.raises((ConfigurationInvalid, DataInvalid), match=refusal):
        prepared(tmp_path, rows, **changes)


def test_pairs_and_judged_answers_are_not_mixed(tmp_path: Path) -> None:
    sources = [{"uri": f"configmap://data/{name}.jsonl"} for name in ("train", "more")]
    (tmp_path / "configmaps/data").mkdir(parents=True)
    (tmp_path / "configmaps/data/more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in judgements(4)))
    (tmp_path / "configmaps/data/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts(4)))
    told = tiny.resolved(dataset={"train": sources})
    access = Access(configmaps=tmp_path / "configmaps", scratch=tmp_path / "scratch")
    with pytest.raises(
        DataInvalid,
        match=r"data/more\.jsonl: its rows are single answers with a label, those of .*train\.jsonl are pairs",
    ):
        prepare(told, fetch(told, access), tiny.tokenizer(), tiny.FACTS, access.scratch)
