"""Rows with labels: how they are read, and the catalogue of what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from skipjack.api.v1alpha1.dataset import RowFormat
from skipjack_trainer.data.formats import Classified, RowProblem, Tagged, interpret, recognise
from skipjack_trainer.data.labels import Labels

WORDS = ["Ada", "met", "Bo"]
HARBOUR = "Ada Lund left Oslo."
BIO = ("O", "B-PER", "I-PER")


def entity(start: Any, end: Any, label: Any = "PER") -> dict[str, Any]:
    return {"start": start, "end": end, "label": label}


def tagged(*tags: Any, tokens: Any = WORDS, column: str = "tags") -> dict[str, Any]:
    return {"tokens": tokens, column: list(tags)}


def marked(*entities: Any, text: Any = HARBOUR) -> dict[str, Any]:
    return {"text": text, "entities": list(entities)}


@pytest.mark.parametrize(
    ("layout", "row", "names", "expected"),
    [
        (RowFormat.TEXT_LABEL, {"text": "a", "label": " spam "}, None, Classified("a", None, ("spam",))),
        (RowFormat.TEXT_LABEL, {"text": "a", "label": 3}, None, Classified("a", None, ("3",))),
        (RowFormat.TEXT_LABEL, {"text": "a", "label": 1}, ("ham", "spam"), Classified("a", None, ("spam",))),
        (RowFormat.TEXT_LABEL, {"text": "a", "label": "1"}, ("ham", "spam"), Classified("a", None, ("spam",))),
        (RowFormat.TEXT_LABEL, {"text": "a", "label": 1}, ("1", "0"), Classified("a", None, ("1",))),
        (RowFormat.TEXT_LABEL, {"text": "a", "text_pair": "b", "label": "x"}, None, Classified("a", "b", ("x",))),
        (RowFormat.TEXT_LABELS, {"text": "a", "labels": ["x", 2]}, None, Classified("a", None, ("x", "2"), True)),
        (RowFormat.TEXT_LABELS, {"text": "a", "labels": '["x"]'}, None, Classified("a", None, ("x",), True)),
        (RowFormat.TEXT_LABELS, {"text": "a", "labels": []}, None, Classified("a", None, (), True)),
        (RowFormat.TOKENS_NER_TAGS, tagged(1, 0, 1, column="ner_tags"), BIO,
         Tagged("Ada met Bo", ((0, 3), (4, 7), (8, 10)), ("B-PER", "O", "B-PER"), "ner_tags")),
        (RowFormat.TEXT_ENTITIES, marked(entity(14, 18, "PORT"), entity(0, 8)), None,
         Tagged(HARBOUR, ((0, 3), (4, 8), (9, 13), (14, 18), (18, 19)), ("B-PER", "I-PER", "O", "B-PORT", "O"), "entities")),
        (RowFormat.TEXT_ENTITIES, marked(entity(2, 5), text="unlocked"), None,
         Tagged("unlocked", ((0, 2), (2, 5), (5, 8)), ("O", "B-PER", "O"), "entities")),
        (RowFormat.TEXT_ENTITIES, marked(entity(0, 3), entity(3, 6), text="AdaBob"), None,
         Tagged("AdaBob", ((0, 3), (3, 6)), ("B-PER", "B-PER"), "entities")),
    ],
)  # fmt: skip
def test_a_row_is_read_whichever_way_its_labels_are_written(
    layout: RowFormat, row: dict[str, Any], names: Sequence[str] | None, expected: Any
) -> None:
    assert recognise(set(row), "a.jsonl:1") is layout
    assert interpret(layout, row, names) == expected


@pytest.mark.parametrize(
    ("layout", "row", "problem"),
    [
        (RowFormat.TEXT_LABEL, {"text": "a", "label": None}, "label: expected a label's name or number, found null"),
        (RowFormat.TEXT_LABEL, {"text": "a", "label": " "}, 'label: expected a label\'s name or number, found " "'),
        (RowFormat.TEXT_LABEL, {"text": "a", "label": 0.5}, "label: expected a label's name or number, found 0.5"),
        (RowFormat.TEXT_LABEL, {"text": "a", "label": True}, "label: expected a label's name or number, found true"),
        (RowFormat.TEXT_LABEL, {"text": "a", "label": ["x"]}, 'label: expected one label, found ["x"]; a row of several has a list in `labels`'),
        (RowFormat.TEXT_LABEL, {"text": ["a"], "label": "x"}, 'text: expected text, found ["a"]'),
        (RowFormat.TEXT_LABEL, {"text": " ", "label": "x"}, "text: expected text, found nothing but white space"),
        (RowFormat.TEXT_LABEL, {"text": "a", "text_pair": "", "label": "x"}, "text_pair: expected text, found nothing but white space"),
        (RowFormat.TEXT_LABELS, {"text": "a", "labels": "x"}, "labels: found text that is not JSON"),
        (RowFormat.TEXT_LABELS, {"text": "a", "labels": {"x": 1}}, 'labels: expected a list of labels, found {"x": 1}'),
        (RowFormat.TEXT_LABELS, {"text": "a", "labels": None}, "labels: expected a list of labels, found null"),
        (RowFormat.TEXT_LABELS, {"text": "a", "labels": ["x", ["y"]]}, 'labels[1]: expected a label\'s name or number, found ["y"]'),
        (RowFormat.TEXT_LABELS, {"text": "a", "labels": ["x", "y", "x"]}, "labels: expected each label once, found x twice"),
        (RowFormat.TOKENS_TAGS, tagged("O", tokens=[]), "tokens: expected a list of words, found []"),
        (RowFormat.TOKENS_TAGS, tagged("O", tokens="Ada met Bo"), "tokens: found text that is not JSON"),
        (RowFormat.TOKENS_TAGS, tagged("O", "O", tokens=["Ada", ""]), 'tokens[1]: expected a word, found ""'),
        (RowFormat.TOKENS_TAGS, tagged("O", "O", tokens=["Ada", 3]), "tokens[1]: expected a word, found 3"),
        (RowFormat.TOKENS_TAGS, tagged("O", "O"), "tags: expected a tag for each of 3 tokens, found 2"),
        (RowFormat.TOKENS_NER_TAGS, tagged("O", None, "O", column="ner_tags"), "ner_tags[1]: expected a label's name or number, found null"),
        (RowFormat.TOKENS_TAGS, tagged(0, 1, 0), "tags[0]: expected O, B-NAME or I-NAME, found 0; name numbers by dataset.labels"),
        (RowFormat.TOKENS_TAGS, tagged("PER", "O", "O"), "tags[0]: expected O, B-NAME or I-NAME, found PER"),
        (RowFormat.TOKENS_TAGS, tagged("B-", "O", "O"), "tags[0]: expected O, B-NAME or I-NAME, found B-"),
        (RowFormat.TOKENS_TAGS, tagged("O", "S-PER", "O"), "tags[1]: expected O, B-NAME or I-NAME, found S-PER"),
        (RowFormat.TOKENS_TAGS, tagged("O", "I-PER", "O"), "tags[1]: I-PER follows O, an entity begins with B-PER (IOB2); files in IOB1 are called .iob1"),
        (RowFormat.TOKENS_TAGS, tagged("B-PER", "I-LOC", "O"), "tags[1]: I-LOC follows B-PER, an entity begins with B-LOC"),
        (RowFormat.TEXT_ENTITIES, marked(text=""), "text: expected text, found nothing but white space"),
        (RowFormat.TEXT_ENTITIES, {"text": "a", "entities": {"start": 0}}, "entities: expected a list of entities, found {"),
        (RowFormat.TEXT_ENTITIES, marked("Ada"), 'entities[0]: expected an object with start, end and label, found "Ada"'),
        (RowFormat.TEXT_ENTITIES, marked(entity(0, 3), entity("9", 13)), 'entities[1].start: expected a number of characters, found "9"'),
        (RowFormat.TEXT_ENTITIES, marked(entity(0, True)), "entities[0].end: expected a number of characters, found true"),
        (RowFormat.TEXT_ENTITIES, marked(entity(0, 3, None)), "entities[0].label: expected a name, found null"),
        (RowFormat.TEXT_ENTITIES, marked(entity(14, 20)), "entities[0]: expected 0 ≤ start < end ≤ 19, where the text ends, found 14 to 20"),
        (RowFormat.TEXT_ENTITIES, marked(entity(-3, 2)), "entities[0]: expected 0 ≤ start < end ≤ 19"),
        (RowFormat.TEXT_ENTITIES, marked(entity(4, 4)), "entities[0]: expected 0 ≤ start < end ≤ 19"),
        (RowFormat.TEXT_ENTITIES, marked(entity(3, 4)), "entities[0]: expected words from 3 to 4, found white space"),
        (RowFormat.TEXT_ENTITIES, marked(entity(4, 13, "SHIP"), entity(0, 8)),
         "entities: expected entities apart from each other, found SHIP at 4 within PER from 0 to 8"),
    ],
)  # fmt: skip
def test_a_fault_is_told_by_field_found_and_expected(layout: RowFormat, row: dict[str, Any], problem: str) -> None:
    with pytest.raises(RowProblem) as caught:
        interpret(layout, row)
    assert str(caught.value).startswith(problem)


def test_a_label_that_is_not_in_the_list_is_told_with_those_that_are() -> None:
    labels = Labels(["ham", "spam"])
    labels.see([("label", "ham")])
    with pytest.raises(RowProblem, match=r"labels\[1\]: expected one of ham, spam, found eggs"):
        labels.see([("labels[0]", "ham"), ("labels[1]", "eggs")])
    assert labels.names == ("ham", "spam")


def test_labels_are_counted_and_stand_in_the_order_of_the_alphabet_or_of_their_size() -> None:
    labels = Labels(None)
    labels.see([("label", name) for name in ("spam", "ham", "spam")])
    assert (labels.names, labels.counts) == (("ham", "spam"), {"spam": 2, "ham": 1})
    numbers = Labels(None)
    numbers.see([("label", "10"), ("label", "9")])
    assert numbers.names == ("9", "10")


def test_what_has_been_seen_to_begin_may_go_on() -> None:
    labels = Labels(None)
    labels.see([("tags[0]", "B-PER")], lambda tag: [tag.replace("B-", "I-")])
    labels.see([("tags[0]", "I-PER")])
    assert labels.known_from_now_on().names == ("B-PER", "I-PER")
    assert labels.counts == {"B-PER": 1, "I-PER": 1}
