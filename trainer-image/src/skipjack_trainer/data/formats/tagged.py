"""Texts in which words are marked: by a tag each, or by the characters between which an entity stands.

Tags are IOB2: B-NAME begins an entity, I-NAME goes on with it, O is outside of any (Tjong Kim Sang and Veenstra 1999).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from skipjack.api.v1alpha1.dataset import RowFormat, Task

from .base import Layout, RowProblem, found, json_if_text, some_words
from .named import labels, name_of

WORD = re.compile(r"\w+|[^\w\s]")


class Word(NamedTuple):
    """Characters `begin` to `end` of a text."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text, its words from left to right, and the tag of each."""

    text: str
    words: tuple[Word, ...]
    tags: tuple[str, ...]
    field: str
    """The column that the tags are in."""


def _tokens(values: dict[str, Any], field: str) -> Tagged:
    tokens = json_if_text(values.get("tokens"), "tokens")
    if not isinstance(tokens, list) or not tokens:
        raise RowProblem(f"tokens: expected a list of words, found {found(tokens)}")
    for index, token in enumerate(tokens):
        if not isinstance(token, str) or not token.strip():
            raise RowProblem(f"tokens[{index}]: expected a word, found {found(token)}", index)
    tags = labels(values, field)
    if len(tags) != len(tokens):
        raise RowProblem(f"{field}: expected a tag for each of {len(tokens)} tokens, found {len(tags)}")
    words, begin = [], 0
    for token in tokens:
        words.append(Word(begin, begin + len(token)))
        begin += len(token) + 1
    return Tagged(" ".join(tokens), tuple(words), tags, field)


def _named(row: Tagged, names: Sequence[str] | None) -> Tagged:
    """Raises RowProblem for what is not IOB2."""
    tags = tuple(name_of(tag, names) for tag in row.tags)
    before = "O"
    for index, tag in enumerate(tags):
        field = f"{row.field}[{index}]"
        if tag != "O" and not (tag.startswith(("B-", "I-")) and tag[2:]):
            hint = "; name numbers by dataset.labels" if tag.isdecimal() else ""
            raise RowProblem(f"{field}: expected O, B-NAME or I-NAME, found {tag}{hint}", index)
        if tag.startswith("I-") and before[2:] != tag[2:]:
            raise RowProblem(
                f"{field}: {tag} follows {before}, an entity begins with B-{tag[2:]} (IOB2); files in IOB1 are called .iob1",
                index,
            )
        before = tag
    return replace(row, tags=tags)


class Entity(NamedTuple):
    begin: int
    end: int
    label: str


def _entities(values: dict[str, Any]) -> Tagged:
    text = some_words(values, "text")
    entities = sorted(_each_entity(values.get("entities"), text))
    for one, other in pairwise(entities):
        if other.begin < one.end:
            raise RowProblem(
                f"entities: expected entities apart from each other, found {other.label} at {other.begin} within "
                f"{one.label} from {one.begin} to {one.end}"
            )
    words = tuple(_words(text, sorted({place for entity in entities for place in entity[:2]})))
    return Tagged(text, words, tuple(_tags(words, entities)), "entities")


def _each_entity(value: Any, text: str) -> Iterator[Entity]:
    told = json_if_text(value, "entities")
    if not isinstance(told, list):
        raise RowProblem(f"entities: expected a list of entities, found {found(told)}")
    for index, entity in enumerate(told):
        field = f"entities[{index}]"
        if not isinstance(entity, dict):
            raise RowProblem(f"{field}: expected an object with start, end and label, found {found(entity)}")
        begin, end, name = (entity.get(key) for key in ("start", "end", "label"))
        if not isinstance(name, str) or not name.strip():
            raise RowProblem(f"{field}.label: expected a name, found {found(name)}")
        for key, number in (("start", begin), ("end", end)):
            if type(number) is not int:
                raise RowProblem(f"{field}.{key}: expected a number of characters, found {found(number)}")
        if not 0 <= begin < end <= len(text):
            raise RowProblem(
                f"{field}: expected 0 ≤ start < end ≤ {len(text)}, where the text ends, found {begin} to {end}"
            )
        if not WORD.search(text, begin, end):
            raise RowProblem(f"{field}: expected words from {begin} to {end}, found white space")
        yield Entity(begin, end, name.strip())


def _words(text: str, edges: list[int]) -> Iterator[Word]:
    """The words of a text, cut where an entity begins or ends within one."""
    for begin, end in zip([0, *edges], [*edges, len(text)], strict=True):
        for word in WORD.finditer(text, begin, end):
            yield Word(*word.span())


def _tags(words: Sequence[Word], entities: Sequence[Entity]) -> Iterator[str]:
    """One a word. Both are in the order of the text, and no entity ends within a word."""
    rest = iter(entities)
    entity, begun = next(rest, None), False
    for word in words:
        while entity and entity.end <= word.begin:
            entity, begun = next(rest, None), False
        if entity and entity.begin <= word.begin:
            yield f"{'I' if begun else 'B'}-{entity.label}"
            begun = True
        else:
            yield "O"


def words_of(text: str) -> tuple[Word, ...]:
    """The words of a text of which nothing is known."""
    return tuple(_words(text, []))


def _labels_of(row: Tagged) -> Iterator[tuple[str, str]]:
    for index, tag in enumerate(row.tags):
        yield (row.field if row.field == "entities" else f"{row.field}[{index}]"), tag


def _inside(tag: str) -> Iterator[str]:
    """Whatever has been seen to begin may go on."""
    if tag.startswith("B-"):
        yield f"I-{tag[2:]}"


TAGGED: dict[RowFormat, Layout] = {
    kind: Layout(frozenset(columns), Task.TOKEN_CLASSIFICATION, read, _labels_of, _inside, _named)
    for kind, columns, read in (
        (RowFormat.TOKENS_TAGS, {"tokens", "tags"}, partial(_tokens, field="tags")),
        (RowFormat.TOKENS_NER_TAGS, {"tokens", "ner_tags"}, partial(_tokens, field="ner_tags")),
        (RowFormat.TEXT_ENTITIES, {"text", "entities"}, _entities),
    )
}
