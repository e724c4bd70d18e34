"""Files as people have them: broken, cut, in the wrong encoding, empty, huge."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest

from skipjack_trainer.data.read import Broken, Row, read
from skipjack_trainer.errors import DataInvalid


def rows(content: bytes, name: str, folder: Path) -> list[Row | Broken]:
    path = folder / name
    path.write_bytes(content)
    return list(read(path, name))


def text(*words: str) -> list[Row]:
    return [Row(f"a.jsonl:{line}", {"text": said}) for line, said in enumerate(words, 1)]


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "one"}\n{"text": "two"}\n',
        b'{"text": "one"}\n{"text": "two"}',
        b'{"text": "one"}\r\n{"text": "two"}\r\n',
        b'\xef\xbb\xbf{"text": "one"}\n{"text": "two"}\n',
        b'{"text": "one"}\n{"text": "two"}\n\n   \n\n',
    ],
    ids=["plain", "no last newline", "CRLF", "BOM", "blank lines"],
)
def test_rows_are_read_whatever_editor_wrote_them(content: bytes, tmp_path: Path) -> None:
    assert rows(content, "a.jsonl", tmp_path) == text("one", "two")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"text": ', "not JSON: Expecting value at column 10, expected one object a line"),
        (b'{"text": NaN}', "not JSON: NaN is no JSON value"),
        (b'{"text": [-Infinity]}', "not JSON: -Infinity is no JSON value"),
        (b'["text"]', "expected an object, found a list"),
        (b"null", "expected an object, found null"),
        (b'{"text": "caf\xe9"}', "not UTF-8 (byte 0xe9 at byte 14 of the line): save the file as UTF-8"),
        (b'{"text": "\\ud83d"}', "not JSON: half of a surrogate pair (\\ud83d)"),
        (b'{"text": ' + b"[" * 100_000, "not JSON: it is nested too deeply"),
        (b'{"text": ' + b"9" * 5000 + b"}", "not JSON: Exceeds the limit"),
    ],
)
def test_a_broken_line_is_named_and_those_after_it_are_read(line: bytes, problem: str, tmp_path: Path) -> None:
    first, broken, last = rows(b'{"text": "one"}\n' + line + b'\n{"text": "two"}\n', "a.jsonl", tmp_path)
    assert [first, last] == [text("one")[0], Row("a.jsonl:3", {"text": "two"})]
    assert isinstance(broken, Broken)
    assert broken.place == "a.jsonl:2"
    assert broken.problem.startswith(problem)


def test_a_whole_surrogate_pair_is_one_character(tmp_path: Path) -> None:
    assert rows(b'{"text": "\\ud83d\\ude00"}', "a.jsonl", tmp_path) == text("\N{GRINNING FACE}")


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.json", "a.txt"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_told_by_name(name: str, encoding: str, tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=f"{name}:1: not UTF-8 but UTF-16"):
        rows('[{"text": "one"}]\n'.encode(encoding), name, tmp_path)


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_a_wrong_encoding_far_down_is_named_with_its_line(name: str, tmp_path: Path) -> None:
    good = "text\n" + "as it should be\n" * 9_998
    with pytest.raises(DataInvalid, match=rf"{name}:10000: not UTF-8 \(byte 0xe9 at byte 4 of the line\)"):
        rows(good.encode() + b"caf\xe9\n", name, tmp_path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt"])
@pytest.mark.parametrize("content", [b"", b"\n\n  \n\n"], ids=["empty", "blank"])
def test_a_file_with_nothing_in_it_has_no_rows(name: str, content: bytes, tmp_path: Path) -> None:
    assert rows(content, name, tmp_path) == []


def test_a_csv_with_a_quoted_newline_counts_rows(tmp_path: Path) -> None:
    content = b'prompt,completion\n"one\ntwo, ""three""",red\nfour\nfive,blue\n'
    assert rows(content, "a.csv", tmp_path) == [
        Row("a.csv row 1", {"prompt": 'one\ntwo, "three"', "completion": "red"}),
        Broken("a.csv row 2", "expected 2 columns as in the header, found more or fewer"),
        Row("a.csv row 3", {"prompt": "five", "completion": "blue"}),
    ]


def test_a_csv_whose_quote_is_not_closed_does_not_swallow_the_rest_in_silence(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=r"a\.csv row 2 .*is a quote not closed"):
        rows(b'text\none\n"two\n' + b"three\n" * 1000, "a.csv", tmp_path)


@pytest.mark.parametrize("content", [b"", b"\n\n", b" , \none,two\n"])
def test_a_csv_without_a_header_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=r"a\.csv: its first line names no columns"):
        rows(content, "a.csv", tmp_path)


def test_a_csv_may_have_a_space_after_each_comma_of_its_header(tmp_path: Path) -> None:
    (row,) = rows(b"prompt, completion\none,two\n", "a.csv", tmp_path)
    assert isinstance(row, Row)
    assert row.values == {"prompt": "one", "completion": "two"}


def test_a_csv_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="names text twice"):
        rows(b"text,text\none,two\n", "a.csv", tmp_path)


def test_a_long_document_fits_into_a_csv(tmp_path: Path) -> None:
    (row,) = rows(b"text\n" + b"x" * 1_000_000 + b"\n", "a.csv", tmp_path)
    assert isinstance(row, Row)
    assert len(row.values["text"]) == 1_000_000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"text": "one"}', r"a\.json: expected a list of objects, found an object"),
        (b'[{"text": "one"},\n{"text": }]', r"a\.json:2: not JSON: Expecting value at column 10"),
        (b'{"text": "one"}\n{"text": "two"}', r"a\.json:2: not JSON.*Then call it \.jsonl"),
        (b'[{"text": NaN}]', r"a\.json: not JSON: NaN"),
    ],
)
def test_json_that_is_no_list_of_rows_is_told(content: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=words):
        rows(content, "a.json", tmp_path)


def test_a_list_longer_than_what_is_read_at_a_time_is_read_and_its_fault_is_told_by_line_and_column(
    tmp_path: Path,
) -> None:
    said = ["x" * (1 + n * 7919 % 200_000) + "\\u00e9" for n in range(60)]
    listed = ",\n ".join(f'{{"text": "{words}"}}' for words in said)
    found = rows(f"[ {listed}\n]\n".encode(), "a.json", tmp_path)
    expected = [words[: -len("\\u00e9")] + "é" for words in said]
    assert found == [Row(f"a.json row {n}", {"text": words}) for n, words in enumerate(expected, 1)]
    for broken, place in (("[" + listed + ",\n]", "a.json:61: not JSON: Expecting value at column 1"),
                          ("[" + listed + "}]", "a.json:60: not JSON: Expecting ',' delimiter at column "),
                          ("[" + listed + "] 1", "a.json:60: not JSON: Extra data at column "),
                          ("[" + listed, "a.json:60: not JSON: Expecting ',' delimiter at column "),
                          ("[" + listed[:-1], "a.json:60: not JSON: Expecting ',' delimiter at column ")):  # fmt: skip
        with pytest.raises(DataInvalid) as caught:
            rows(broken.encode(), "a.json", tmp_path)
        told = str(caught.value)
        assert told.startswith(place)
        with pytest.raises(json.JSONDecodeError) as judge:
            json.loads(broken)
        assert f"a.json:{judge.value.lineno}: not JSON: {judge.value.msg} at column {judge.value.colno}." in told


@pytest.mark.parametrize("name", ["a.jsonl", "a.txt", "a.csv", "a.conll", "a.json"])
def test_a_row_that_is_too_long_for_memory_is_refused_by_its_place(name: str, tmp_path: Path) -> None:
    long = b"x" * (17 * 2**20)
    content = {
        "a.jsonl": b'{"text": "one"}\n{"text": "%b"}\n' % long,
        "a.txt": b"one\n\n" + (b"two " * 256 + b"\n") * (17 * 2**10),
        "a.csv": b"text\none\n%b\n" % long,
        "a.conll": b"one O\n\n" + (b"two" * 341 + b" O\n") * (17 * 2**10),
        "a.json": b'[{"text": "one"},\n{"text": "%b' % long,
    }[name]
    places = {"a.jsonl": ":2: a row of more than 16 MiB", "a.txt": ":3: a row of more than 16 MiB",
              "a.csv": " row 2 ", "a.conll": ":3: a row of more than 16 MiB", "a.json": ":2: not JSON"}  # fmt: skip
    with pytest.raises(DataInvalid, match=rf"^{name}{places[name]}"):
        rows(content, name, tmp_path)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz", "a.json.gz", "a.txt.gz"])
def test_a_compressed_file_is_read_and_one_that_is_cut_is_told(name: str, tmp_path: Path) -> None:
    content = {
        "a.jsonl.gz": b'{"text": "one"}\n', "a.csv.gz": b"text\none\n", "a.json.gz": b'[{"text": "one"}]', "a.txt.gz": b"one\n"
    }[name]  # fmt: skip
    (row,) = rows(gzip.compress(content), name, tmp_path)
    assert isinstance(row, Row)
    assert row.values == {"text": "one"}
    many = [b'{"text": "%d"}' % (n * 7919) for n in range(50_000)]
    whole = gzip.compress(b"[" + b",\n".join(many) + b"]" if name == "a.json.gz" else b"\n".join(many))
    for damaged in (whole[: len(whole) // 2], whole[:-3], b"not gzip", whole[:1000] + b"\x00" * 100 + whole[1100:]):
        with pytest.raises(DataInvalid, match=rf"{name}: not a whole gzip file"):
            rows(damaged, name, tmp_path)


def test_parquet_is_read_and_what_is_not_parquet_is_told(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    values = [{"messages": [{"role": "user", "content": str(n)}]} for n in range(3000)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(values), tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    found = rows(content, "a.parquet", tmp_path)
    assert found == [Row(f"a.parquet row {n}", value) for n, value in enumerate(values, 1)]
    for damaged in (b"PAR1", b'{"text": "one"}', content[: len(content) // 2], b""):
        with pytest.raises(DataInvalid, match=r"a\.parquet: not a whole Parquet file"):
            rows(damaged, "a.parquet", tmp_path)


def test_a_text_is_cut_into_paragraphs_named_by_their_first_line(tmp_path: Path) -> None:
    content = b"\n\none\r\nstill one\r\n\r\n\r\ntwo\n  \nthree\xe9\nfour"
    assert rows(content, "a.txt", tmp_path) == [
        Row("a.txt:3", {"text": "one\nstill one"}),
        Row("a.txt:7", {"text": "two"}),
        Broken("a.txt:9", "not UTF-8 (byte 0xe9 at byte 6 of the line): save the file as UTF-8"),
        Row("a.txt:10", {"text": "four"}),
    ]


def test_a_line_of_ten_megabytes_is_read(tmp_path: Path) -> None:
    assert rows(json.dumps({"text": "x" * 10_000_000}).encode(), "a.jsonl", tmp_path) == text("x" * 10_000_000)


def test_a_large_file_is_read_as_a_stream_in_seconds(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"".join(b'{"text": "%d"}\n' % n if n != 69_999 else b'{"text": \n' for n in range(100_000)))
    begun = time.monotonic()
    stream = read(path, "a.jsonl")
    assert next(stream) == Row("a.jsonl:1", {"text": "0"})
    broken = [row for row in stream if isinstance(row, Broken)]
    assert [row.place for row in broken] == ["a.jsonl:70000"]
    assert time.monotonic() - begun < 5


def test_a_file_of_another_kind_is_refused_with_those_that_are_read(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=r"a\.docx: files end in \.jsonl, \.json, \.csv, \.parquet, \.txt"):
        rows(b"", "a.docx", tmp_path)
    assert rows(b'{"text": "one"}\n', "A.JSONL", tmp_path) == [Row("A.JSONL:1", {"text": "one"})]
