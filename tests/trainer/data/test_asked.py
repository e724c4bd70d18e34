"""Rows that are answered in words of the model's own: what it reads, what it learns to write, and what it is judged by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.trainer import tiny

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.data.asked import references_of
from skipjack_trainer.data.example import PARTS, Example
from skipjack_trainer.data.formats import interpret
from skipjack_trainer.data.read import Broken
from skipjack_trainer.data.writers import Writer, Writing, writer_of
from skipjack_trainer.errors import ConfigurationInvalid
from skipjack_trainer.shape import Shape

PAIR = (RowFormat.SOURCE_TARGET, {"source": "hello", "target": "the light"})
SQUAD = (
    RowFormat.SQUAD,
    {
        "question": "which?",
        "context": "the light is red",
        "answers": {"text": ["red", "light"], "answer_start": [13, 4]},
    },
)
NOTHING = (RowFormat.SQUAD, SQUAD[1] | {"answers": {"text": [], "answer_start": []}})
FACTS = {shape: replace(tiny.FACTS, shape=shape) for shape in Shape}


def spec(**dataset: Any) -> ResolvedSpec:
    return tiny.resolved(dataset={"train": [{"uri": "configmap://d/t.jsonl"}]} | dataset)


def written(
    row: tuple[RowFormat, dict[str, Any]], shape: Shape, task: Task, template: str | None = tiny.CHATML, **dataset: Any
) -> Example:
    writing = Writing(spec(**dataset), tiny.tokenizer(template), FACTS[shape])
    (example,) = writer_of(task, shape).write(writing, [("a.jsonl:1", interpret(*row))])
    assert isinstance(example, Example), example
    return example


def read(example: Example, is_learnt: bool) -> str:
    """What is learnt, or all that stands before it."""
    before = example.input_ids[: np.flatnonzero(example.weights)[0]]
    return str(tiny.tokenizer().decode(example.input_ids[example.weights > 0] if is_learnt else before))


def test_a_chat_model_is_asked_by_the_user_and_learns_the_answer_and_the_end_of_its_turn() -> None:
    example = written(PAIR, Shape.DECODER, Task.TRANSLATION, instruction="say: ")
    assert read(example, False) == "<|im_start|>user\nsay: hello<|im_end|>\n<|im_start|>assistant\n"
    assert read(example, True) == "the light<|im_end|>"
    assert references_of(example) == ["the light"]


def test_a_model_without_chat_template_reads_plain_text_and_learns_the_answer_and_the_end() -> None:
    example = written(PAIR, Shape.DECODER, Task.TRANSLATION, template=None, instruction="say: ")
    assert read(example, False) == "say: hello\n"
    assert read(example, True) == "the light<|im_end|>"


def test_a_question_stands_behind_its_context_and_is_judged_by_every_right_answer() -> None:
    example = written(SQUAD, Shape.DECODER, Task.QUESTION_ANSWERING, template=None, instruction="Q: ")
    assert read(example, False) == "the light is red\n\nQ: which?\n"
    assert read(example, True) == "red<|im_end|>"
    assert references_of(example) == ["red", "light"]


@pytest.mark.parametrize("shape", [Shape.DECODER, Shape.ENCODER_DECODER])
@pytest.mark.parametrize("template", [None, tiny.CHATML])
def test_where_there_is_no_answer_saying_nothing_is_learnt(shape: Shape, template: str | None) -> None:
    example = written(NOTHING, shape, Task.QUESTION_ANSWERING, template)
    assert read(example, True) == "<|im_end|>"
    assert references_of(example) == []


def test_a_sequence_to_sequence_model_reads_the_source_and_learns_all_of_the_target_and_its_end() -> None:
    example = written(PAIR, Shape.ENCODER_DECODER, Task.TRANSLATION, instruction="say: ")
    assert read(example, False) == "say: hello"
    assert read(example, True) == "the light<|im_end|>"
    source, target = example.beside[PARTS]
    assert (source, source + target) == (np.flatnonzero(example.weights)[0], len(example))
    assert example.longest == max(source, target)


@pytest.mark.parametrize(("tokens", "source", "target"), [(100, 11, 10), (10, 10, 10), (4, 4, 4)])
def test_a_cut_source_still_ends_as_sources_do_and_a_cut_target_does_not_end(
    tokens: int, source: int, target: int
) -> None:
    sequence: Writer = writer_of(Task.TRANSLATION, Shape.ENCODER_DECODER)
    parts = np.array([11, 10], np.int32)
    ids = np.array([*range(10), 99, *range(100, 109), 99], np.int32)
    whole = Example(ids, np.repeat(np.array([0, 1], np.float32), parts), "a", {PARTS: parts})
    cut = sequence.cut(whole, tokens)
    assert cut.beside[PARTS].tolist() == [source, target]
    assert cut.input_ids[:source].tolist() == [*range(source - 1), 99]
    assert cut.input_ids[source:].tolist() == ids[11 : 11 + target].tolist()
    assert cut.weights.tolist() == [0.0] * source + [1.0] * target


def test_text_alone_gives_a_sequence_to_sequence_model_nothing_to_read() -> None:
    writing = Writing(spec(), tiny.tokenizer(), FACTS[Shape.ENCODER_DECODER])
    rows = [("a.jsonl:1", interpret(RowFormat.TEXT, {"text": "hello"}))]
    (broken,) = writer_of(Task.COMPLETION, Shape.ENCODER_DECODER).write(writing, rows)
    assert isinstance(broken, Broken)
    assert broken.problem.startswith("prompt: expected text, found nothing")


def test_all_of_a_translation_is_never_learnt() -> None:
    writing = Writing(spec(trainOn="All"), tiny.tokenizer(), FACTS[Shape.DECODER])
    with pytest.raises(ConfigurationInvalid, match=r"dataset\.trainOn: .*the answer alone is learnt: remove it"):
        list(writer_of(Task.TRANSLATION, Shape.DECODER).write(writing, [("a", interpret(*PAIR))]))


@pytest.mark.parametrize("shape", [Shape.DECODER, Shape.ENCODER_DECODER])
def test_a_model_that_knows_no_end_is_refused(shape: Shape) -> None:
    made = tiny.tokenizer(template=None)
    made.eos_token = None
    writing = Writing(spec(), made, FACTS[shape])
    with pytest.raises(ConfigurationInvalid, match="no end-of-sequence token"):
        list(writer_of(Task.TRANSLATION, shape).write(writing, [("a", interpret(*PAIR))]))
