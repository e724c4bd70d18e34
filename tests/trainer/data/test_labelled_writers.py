"""Rows with labels → examples: which tokens, which count, and what is left when they are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.trainer import tiny
from tests.trainer.labelling import LABELS, TAGS, tokenizer, told, written
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from skipjack.api.v1alpha1.dataset import RowFormat
from skipjack_trainer.data.example import Example
from skipjack_trainer.data.read import Broken
from skipjack_trainer.data.writers.encode import SIDES, TOKEN_TYPES, cut
from skipjack_trainer.data.writers.encode import TAGS as TAG_OF
from skipjack_trainer.shape import Shape

WORDS = tokenizer()
PLAIN = tiny.tokenizer(None)


def one(row: dict[str, Any], layout: RowFormat = RowFormat.TEXT_LABEL, **options: Any) -> Example:
    (example,) = written([row], layout, **options)
    return example


def read_back(example: Example) -> str:
    return str(WORDS.decode(example.input_ids))


def test_a_text_is_as_its_own_tokenizer_writes_it_and_counts_once() -> None:
    example = one({"text": "hello world", "label": "blue"}, weights=[1, 1, 2.5])
    assert example.input_ids.tolist() == WORDS("hello world")["input_ids"]
    assert example.beside["class"].tolist() == [LABELS.index("blue")]
    assert (example.weights[0], example.weights.sum()) == (2.5, 2.5)


def test_classes_that_do_not_exclude_each_other_are_told_one_by_one() -> None:
    several = written([{"text": "a", "labels": ["blue", "red"]}, {"text": "a", "labels": []}], RowFormat.TEXT_LABELS)
    assert [example.beside["classes"].tolist() for example in several] == [[1, 0, 1], [0, 0, 0]]


def test_an_encoder_reads_two_texts_apart_and_a_causal_model_one_after_the_other() -> None:
    row = {"text": "hello", "text_pair": "world", "label": "red"}
    pair = one(row)
    assert read_back(pair) == "<s>hello</s>world</s>"
    first = len(PLAIN("hello")["input_ids"])
    assert pair.beside[TOKEN_TYPES].tolist() == [0] * (first + 2) + [1] * (len(pair) - first - 2)
    assert PLAIN.decode(one(row, shape=Shape.DECODER).input_ids) == "hello\nworld"


def test_single_texts_and_pairs_may_stand_in_one_file() -> None:
    rows = [{"text": "hello", "text_pair": pair, "label": "red"} for pair in (None, "world", None)]
    assert [read_back(example) for example in written(rows, RowFormat.TEXT_LABEL)] == [
        "<s>hello</s>", "<s>hello</s>world</s>", "<s>hello</s>"
    ]  # fmt: skip


@pytest.mark.parametrize("tokens", [3, 4, 6, 8])
def test_what_is_cut_still_opens_and_closes(tokens: int) -> None:
    example = one({"text": "hello world the light is red", "label": "red"})
    shorter = cut(example, tokens)
    assert len(shorter) == tokens < len(example)
    assert shorter.input_ids.tolist() == [*example.input_ids[: tokens - 1], example.input_ids[-1]]
    assert shorter.weights.sum() == 1.0


def test_of_two_texts_the_longer_is_cut_first() -> None:
    example = one({"text": "the light is red " * 4, "text_pair": "hello", "label": "red"})
    assert read_back(cut(example, 12)).endswith("</s>hello</s>")
    long_pair = one({"text": "hello", "text_pair": "the light is red " * 4, "label": "red"})
    assert read_back(cut(long_pair, 12)).startswith("<s>hello</s>the")
    both = one({"text": "the light is red " * 4, "text_pair": "the light is red " * 4, "label": "red"})
    sides = cut(both, 11).beside[SIDES].tolist()
    assert (sides.count(0), sides.count(1), sides.count(-1)) == (4, 4, 3)


def tags_at(example: Example) -> list[tuple[str, str]]:
    """(token, tag) where there is a weight."""
    return [
        (WORDS.convert_ids_to_tokens(int(example.input_ids[at])), TAGS[example.beside[TAG_OF][at]])
        for at in np.flatnonzero(example.weights)
    ]


def test_the_first_token_of_a_word_bears_its_tag_and_its_weight_and_no_other_token_any() -> None:
    row = {"tokens": ["zzyzx", "light"], "tags": ["B-LIGHT", "I-LIGHT"]}
    example = one(row, RowFormat.TOKENS_TAGS, labels=TAGS, weights=[1, 3, 2])
    assert len(WORDS("zzyzx", add_special_tokens=False)["input_ids"]) > 1
    assert tags_at(example) == [("z", "B-LIGHT"), ("Ġlight", "I-LIGHT")]
    assert example.weights[np.flatnonzero(example.weights)].tolist() == [3, 2]


def test_a_sentence_that_is_cut_keeps_the_tags_of_what_is_left() -> None:
    row = {"tokens": ["red", "light"] * 9, "tags": ["B-LIGHT", "I-LIGHT"] * 9}
    whole = one(row, RowFormat.TOKENS_TAGS, labels=TAGS)
    shorter = cut(whole, 8)
    assert (len(shorter), shorter.input_ids[-1]) == (8, whole.input_ids[-1])
    assert tags_at(shorter) == tags_at(whole)[: len(tags_at(shorter))]
    assert tags_at(shorter)


def dropping() -> PreTrainedTokenizerFast:
    """Knows a word a token, and drops stars."""
    words = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1, "red": 2, "light": 3, "hello": 4}, unk_token="[UNK]"))
    words.normalizer = normalizers.Replace("*", "")
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")


def test_an_entity_whose_first_word_the_tokenizer_drops_begins_with_its_next() -> None:
    rows = [
        {"tokens": ["hello", "*", "light", "hello"], "tags": ["O", "B-LIGHT", "I-LIGHT", "O"]},
        {"tokens": ["*", "hello", "*red"], "tags": ["B-LIGHT", "O", "B-LIGHT"]},
    ]
    first, second = written(rows, RowFormat.TOKENS_TAGS, labels=TAGS, words=dropping())
    assert (first.input_ids.tolist(), first.beside[TAG_OF].tolist()) == ([4, 3, 4], [0, 1, 0])
    assert (second.input_ids.tolist(), second.beside[TAG_OF].tolist()) == ([4, 2], [0, 1])


def test_words_within_one_token_share_it_by_the_first_of_them() -> None:
    text = {"text": "hello", "entities": [{"start": 2, "end": 5, "label": "LIGHT"}]}
    example = one(text, RowFormat.TEXT_ENTITIES, labels=TAGS, words=dropping())
    assert (example.input_ids.tolist(), example.weights.tolist(), example.beside[TAG_OF].tolist()) == ([4], [1], [0])


@pytest.mark.parametrize(
    ("row", "layout", "problem"),
    [
        ({"text": "**", "label": "red"}, RowFormat.TEXT_LABEL, "text: the model's tokenizer makes no tokens of it"),
        ({"tokens": ["*"], "tags": ["O"]}, RowFormat.TOKENS_TAGS, "tokens: the model's tokenizer makes no tokens"),
    ],
)
def test_a_row_of_which_no_token_is_left_is_told(row: dict[str, Any], layout: RowFormat, problem: str) -> None:
    (broken,) = told([row], layout, TAGS if layout is RowFormat.TOKENS_TAGS else LABELS, words=dropping())
    assert isinstance(broken, Broken)
    assert (broken.place, broken.problem[: len(problem)]) == ("a.jsonl:1", problem)
