"""A question and its context as windows: every token of the context is read, and the label is the answer's very words."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from tests.trainer import tiny

from skipjack.api.v1alpha1.dataset import RowFormat
from skipjack_trainer.data.asked import references_of
from skipjack_trainer.data.example import Example, text_of
from skipjack_trainer.data.formats import interpret
from skipjack_trainer.data.read import Broken
from skipjack_trainer.data.writers import Writing
from skipjack_trainer.data.writers.span import CONTEXT, OFFSETS, SPAN, SPANS, WINDOW
from skipjack_trainer.shape import Shape

ENCODER = replace(tiny.FACTS, shape=Shape.ENCODER, can_pack=False)
WORDS = ["light", "red", "größer", "hello", "  ", "is", "world.", "é", "🌊", "the"]


def asked(context: str, answer: str | None, begin: int | None = None, question: str = "which light?") -> dict[str, Any]:
    starts = {} if begin is None else {"answer_start": [begin]}
    answers = {"text": [], "answer_start": []} if answer is None else {"text": [answer], **starts}
    return {"question": question, "context": context, "answers": answers}


def written(
    rows: list[dict[str, Any]], tokens: int | None = 64, stride: int = 16, layout: RowFormat = RowFormat.SQUAD
) -> list[Example | Broken]:
    dataset = {"train": [{"uri": "configmap://d/t.jsonl"}], "stride": stride}
    spec = tiny.resolved(dataset=dataset, hyperparameters={"maxSteps": 1} | ({"maxLength": tokens} if tokens else {}))
    places = ((f"a.jsonl:{line}", interpret(layout, row)) for line, row in enumerate(rows, 1))
    return list(SPANS.write(Writing(spec, pairing_tokenizer(), ENCODER), places))


def pairing_tokenizer() -> Any:
    """One that writes `<s> question </s> context </s>`."""
    from tokenizers.processors import TemplateProcessing

    made = tiny.tokenizer()
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return made


def windows(rows: list[dict[str, Any]], **how: Any) -> list[Example]:
    told = written(rows, **how)
    assert all(isinstance(example, Example) for example in told), told
    return [example for example in told if isinstance(example, Example)]


def labelled(window: Example) -> str:
    """The words that the label marks."""
    first, last = window.beside[SPAN] - window.beside[WINDOW][1]
    offsets = window.beside[OFFSETS].reshape(-1, 2)
    return text_of(window.beside[CONTEXT])[offsets[first, 0] : offsets[last, 1]].strip()


@pytest.mark.parametrize("seed", range(8))
def test_every_answer_is_the_label_of_each_window_that_holds_it_and_all_others_point_to_the_first_token(
    seed: int,
) -> None:
    draw = random.Random(seed)
    words = [draw.choice(WORDS) for _ in range(draw.randrange(10, 200))]
    context = " ".join(words)
    answer = "at noon"
    begin = context.index(" ", draw.randrange(len(context) - 2)) + 1 if context.count(" ") > 1 else 0
    context = f"{context[:begin]}{answer} {context[begin:]}"
    told = windows([asked(context, answer, begin)], tokens=draw.choice([48, 64, 100]), stride=draw.choice([8, 16, 20]))
    holding = [window for window in told if window.beside[SPAN].any()]
    assert holding
    assert {labelled(window) for window in holding} == {answer}
    for window in told:
        expected = np.zeros(len(window), np.float32)
        np.add.at(expected, window.beside[SPAN], 0.5)
        assert window.weights.tolist() == expected.tolist()


def test_windows_cover_the_context_share_the_stride_and_are_never_longer_than_asked() -> None:
    context = " ".join(f"{n}." for n in range(120))
    told = windows([asked(context, None)], tokens=64, stride=16)
    whole = pairing_tokenizer()("which light?", context).encodings[0]
    of_context = [token for token, text in zip(whole.ids, whole.sequence_ids, strict=True) if text == 1]
    parts = [window.input_ids[window.beside[WINDOW][1] : -1].tolist() for window in told]
    assert [window.beside[WINDOW][0] for window in told] == list(range(len(told)))
    assert parts[0] + [token for part in parts[1:] for token in part[16:]] == of_context
    assert all(one[-16:] == other[:16] for one, other in pairwise(parts))
    assert {len(window) for window in told[:-1]} == {64}
    assert len(told[-1]) <= 64
    assert all(window.weights[0] == 1 for window in told)


def test_a_short_context_is_one_window_of_what_the_tokenizer_writes() -> None:
    (window,) = windows([asked("the light is red", "red")], stride=40)
    assert window.input_ids.tolist() == pairing_tokenizer()("which light?", "the light is red")["input_ids"]
    assert labelled(window) == "red"
    assert references_of(window) == ["red"]


def test_left_to_itself_a_window_has_384_tokens_or_what_the_model_reads() -> None:
    told = windows([asked("light " * 900, None)], tokens=None, stride=16)
    assert max(map(len, told)) == 256


def test_an_answer_without_a_place_is_found_where_it_stands_once() -> None:
    row = {"question": "which?", "context": "the light is red", "answer": "red"}
    (window,) = windows([row], layout=RowFormat.QUESTION_ANSWER)
    assert labelled(window) == "red"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (asked("the light is red", "red", question="which light " * 20),
         "question: it leaves 0 of a window's 64 tokens to the context, and neighbours share 16"),
        (asked("hello world " * 60, ("hello world " * 30).strip(), 0), "answers.text[0]: it has"),
        ({"question": "which?", "answer": "red"}, "context: expected text that holds the answer, found none"),
        ({"question": "which?", "context": "the light is green", "answer": "red"}, 'answer: expected words of the context, found "red"'),
        ({"question": "which?", "context": "red is red", "answer": "red"}, 'answer: "red" stands 2 times in the context'),
    ],
)  # fmt: skip
def test_a_row_that_no_window_can_hold_is_told_and_the_next_goes_on(row: dict[str, Any], problem: str) -> None:
    layout = RowFormat.SQUAD if "answers" in row else RowFormat.QUESTION_ANSWER
    good = {"question": "which?", "context": "the light is red", "answer": "red"}
    good = good if "answer" in row else asked("the light is red", "red")
    broken, window = written([row, good], layout=layout)
    assert isinstance(broken, Broken)
    assert broken.problem.startswith(problem)
    assert broken.place == "a.jsonl:1"
    assert isinstance(window, Example)


def test_a_model_that_tells_texts_apart_is_told_which_is_which() -> None:
    made = pairing_tokenizer()
    made.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    row = interpret(RowFormat.SQUAD, json.loads(json.dumps(asked("the light is red", "red"))))
    (window,) = SPANS.write(Writing(tiny.resolved(), made, ENCODER), [("a", row)])
    assert isinstance(window, Example)
    assert window.beside["token_types"].tolist() == made("which light?", "the light is red")["token_type_ids"]
