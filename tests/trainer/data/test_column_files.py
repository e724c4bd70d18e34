"""Files with a word a line: CoNLL and its kin."""

from __future__ import annotations

from pathlib import Path

import pytest

from skipjack_trainer.data.read import Broken, Row, read


def rows(tmp_path: Path, text: str | bytes, name: str = "a.conll") -> list[Row | Broken]:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(read(file, name))


def sentences(tmp_path: Path, text: str, name: str = "a.conll") -> list[tuple[str, list[str], list[str]]]:
    told = rows(tmp_path, text, name)
    assert all(isinstance(row, Row) for row in told), told
    return [(row.place, row.values["tokens"], row.values["tags"]) for row in told if isinstance(row, Row)]


CONLL_2003 = "-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\nleft VBD B-VP O\n\nOslo NNP B-NP B-LOC\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CONLL_2003, [("a.conll:3", ["Ada", "left"], ["B-PER", "O"]), ("a.conll:6", ["Oslo"], ["B-LOC"])]),
        ("Ada\tB-PER\r\nleft\tO\r\n", [("a.conll:1", ["Ada", "left"], ["B-PER", "O"])]),
        ("# id = 7\n# text = Ada left\nAda B-PER\n# O\n", [("a.conll:3", ["Ada", "#"], ["B-PER", "O"])]),
        ("#ahoy O\nAda B-PER\n", [("a.conll:1", ["#ahoy", "Ada"], ["O", "B-PER"])]),
        ("New York\tB-LOC\n", [("a.conll:1", ["New York"], ["B-LOC"])]),
        ("a\u00a0b   O\n\n\n\nc O", [("a.conll:1", ["a\u00a0b"], ["O"]), ("a.conll:5", ["c"], ["O"])]),
        ("", []),
    ],
)
def test_an_empty_line_ends_a_sentence_and_the_last_column_is_the_tag(
    text: str, expected: list[tuple[str, list[str], list[str]]], tmp_path: Path
) -> None:
    assert sentences(tmp_path, text) == expected


@pytest.mark.parametrize("name", ["a.conll", "a.bio", "a.iob2"])
def test_each_word_tells_its_own_line(name: str, tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "# one\nAda B-PER\nLund I-PER\n", name)
    assert isinstance(row, Row)
    assert [row.place_of(item) for item in (None, 0, 1)] == [f"{name}:2", f"{name}:2", f"{name}:3"]


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("Ada B-PER\nleft\n", "a.conll:2", "expected a word and its tag, found one column: 'left'"),
        ("Ada B-PER\nleft\t\n", "a.conll:2", "expected a word and its tag, found one column: 'left'"),
        (b"Ada B-PER\nM\xe9 O\n", "a.conll:2", "not UTF-8 (byte 0xe9 at byte 2 of the line): save the file as UTF-8"),
    ],
)
def test_a_line_that_is_no_word_with_a_tag_is_told_by_its_number(
    text: str | bytes, place: str, problem: str, tmp_path: Path
) -> None:
    assert [broken for broken in rows(tmp_path, text) if isinstance(broken, Broken)] == [Broken(place, problem)]


def test_iob1_is_rewritten_as_iob2(tmp_path: Path) -> None:
    words = ["I-PER", "I-PER", "B-PER", "O", "I-LOC", "I-ORG", "O"]
    (told,) = sentences(tmp_path, "".join(f"w {tag}\n" for tag in words), "a.iob1")
    assert told[2] == ["B-PER", "I-PER", "B-PER", "O", "B-LOC", "B-ORG", "O"]
