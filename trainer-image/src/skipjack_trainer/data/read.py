"""Files → rows, each with the place it stands in. Read as a stream: a file may be larger than memory, a row may not be of any size."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from ..errors import DataInvalid
from .strict_json import NoList, NotJson, items_of, parse_json

BOM = b"\xef\xbb\xbf"
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
ROW_BYTES_MAX = 2**24
"""Of a line, a paragraph or a CSV field: some four million tokens, and a tokenizer takes a hundred bytes for each."""

PARQUET_BYTES = 2**26
"""Of a table that are in memory at a time."""
PARQUET_READ_BYTES = 2**20
"""Of each column's pages."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was found. `place` is FILE:LINE where a row is a line, else FILE row N; both count from 1."""

    place: str
    values: dict[str, Any]
    places: tuple[str, ...] = ()
    """Of each item of a row that is several lines."""

    def place_of(self, item: int | None) -> str:
        """Where the item stands, counted from 0; None: the row."""
        return self.place if item is None or not self.places else self.places[item]


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that can't be used, and why."""

    place: str
    problem: str


def format_of(name: str) -> str:
    """The ending that says how a file is written."""
    return Path(name.lower().removesuffix(".gz")).suffix


def read(path: Path, name: str) -> Iterator[Row | Broken]:
    """The rows of one file, called `name` in messages. Raises DataInvalid when it can't be read any further."""
    suffix = format_of(name)
    if suffix not in READERS:
        raise DataInvalid(
            f"{name}: files end in {', '.join(READERS)} (or those with .gz), not in {suffix or 'nothing'}."
        )
    try:
        yield from READERS[suffix](path, name)
    except UnicodeDecodeError as error:
        raise _wrong_encoding(path, name) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataInvalid(f"{name}: not a whole gzip file: {error}: fetch it or compress it again.") from error


def _jsonl(path: Path, name: str) -> Iterator[Row | Broken]:
    for line, raw in _lines(path, name):
        if raw.strip():
            yield _json_row(raw, f"{name}:{line}")


def _json_row(raw: bytes, place: str) -> Row | Broken:
    try:
        return _object(parse_json(raw.rstrip(b"\r\n").decode()), place)
    except UnicodeDecodeError as error:
        return Broken(place, f"{_not_utf8(error)}: save the file as UTF-8")
    except json.JSONDecodeError as error:
        return Broken(place, f"not JSON: {error.msg} at column {error.colno}, expected one object a line")
    except ValueError as error:
        return Broken(place, f"not JSON: {error}")


def _json(path: Path, name: str) -> Iterator[Row | Broken]:
    with _text(path, name) as source:
        try:
            for number, values in enumerate(items_of(source), 1):
                yield _object(values, f"{name} row {number}")
        except NoList as error:
            raise DataInvalid(f"{name}: expected a list of objects, found {_kind(error.value)}.") from error
        except NotJson as error:
            raise DataInvalid(
                f"{name}:{error.line}: not JSON: {error.problem} at column {error.column}. One object a line? Then call it .jsonl."
            ) from error
        except UnicodeDecodeError:
            raise
        except ValueError as error:
            raise DataInvalid(f"{name}: not JSON: {error}.") from error


def _csv(path: Path, name: str) -> Iterator[Row | Broken]:
    csv.field_size_limit(ROW_BYTES_MAX)
    with _text(path, name) as source:
        reader = csv.DictReader(source, restkey="", strict=True)
        number = 0
        try:
            header = reader.fieldnames = [column.strip() for column in reader.fieldnames or ()]
            if not any(header):
                raise DataInvalid(f"{name}: its first line names no columns: write a header, like: prompt,completion")
            if twice := {column for column in header if header.count(column) > 1}:
                raise DataInvalid(f"{name}: its header names {', '.join(sorted(twice))} twice: rename one.")
            for number, values in enumerate(reader, 1):
                place = f"{name} row {number}"
                if "" in values or None in values.values():
                    yield Broken(place, f"expected {len(header)} columns as in the header, found more or fewer")
                else:
                    yield Row(place, dict(values))
        except csv.Error as error:
            raise DataInvalid(
                f"{name} row {number + 1} (near line {reader.line_num}): not CSV: {error}; is a quote not closed, or not doubled?"
            ) from error


def _parquet(path: Path, name: str) -> Iterator[Row | Broken]:
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        # Page by page: else all of a row group's columns would be read at once.
        table = pyarrow.parquet.ParquetFile(path, buffer_size=PARQUET_READ_BYTES, pre_buffer=False)
        for batch in table.iter_batches(_rows_at_once(table.metadata)):
            for values in batch.to_pylist():
                number += 1
                yield Row(f"{name} row {number}", values)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataInvalid(f"{name}: not a whole Parquet file (after row {number}): {error}") from error


def _rows_at_once(told: Any) -> int:
    """So many that they are some 64 MiB at most: a row may hold a picture. `told`: the file's metadata."""
    size_bytes = sum(told.row_group(number).total_byte_size for number in range(told.num_row_groups))
    return max(1, min(1024, PARQUET_BYTES * told.num_rows // max(1, size_bytes)))


def _txt(path: Path, name: str) -> Iterator[Row | Broken]:
    """Paragraphs: an empty line ends one."""
    block: list[str] = []
    begins = size_bytes = 0
    for line, raw in _lines(path, name):
        try:
            text = raw.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield Broken(f"{name}:{line}", f"{_not_utf8(error)}: save the file as UTF-8")
            continue
        if text.strip():
            begins, size_bytes = (begins, size_bytes + len(raw)) if block else (line, len(raw))
            _refuse_too_long(size_bytes, f"{name}:{begins}", "an empty line ends a paragraph")
            block.append(text)
        elif block:
            yield Row(f"{name}:{begins}", {"text": "\n".join(block)})
            block = []
    if block:
        yield Row(f"{name}:{begins}", {"text": "\n".join(block)})


def _columns(path: Path, name: str) -> Iterator[Row | Broken]:
    """Sentences, a word a line: its first column is the word, its last one the tag. An empty line ends a sentence."""
    block: list[tuple[str, str, str]] = []
    size_bytes = 0
    for line, raw in _lines(path, name):
        place = f"{name}:{line}"
        try:
            text = raw.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            yield Broken(place, f"{_not_utf8(error)}: save the file as UTF-8")
            continue
        columns = text.split("\t") if "\t" in text else [column for column in text.split(" ") if column]
        if not text.strip() or columns[0] == "-DOCSTART-":
            yield from _sentence(block)
            block = []
        elif not block and _is_comment(columns):
            continue
        elif len(columns) < 2 or not columns[-1].strip():
            yield Broken(place, f"expected a word and its tag, found one column: {text.strip()[:40]!r}")
        else:
            size_bytes = size_bytes + len(raw) if block else len(raw)
            _refuse_too_long(size_bytes, block[0][2] if block else place, "an empty line ends a sentence")
            block.append((columns[0].strip(), columns[-1].strip(), place))
    yield from _sentence(block)


def _is_comment(columns: list[str]) -> bool:
    """Words may begin with '#' too, and have a tag."""
    return columns[0].startswith("#") and columns[-1] != "O" and not columns[-1].startswith(("B-", "I-"))


def _sentence(block: list[tuple[str, str, str]]) -> Iterator[Row]:
    if block:
        tokens, tags, places = map(tuple, zip(*block, strict=True))
        yield Row(places[0], {"tokens": [*tokens], "tags": [*tags]}, places)


def _columns_iob1(path: Path, name: str) -> Iterator[Row | Broken]:
    """The same in IOB1, where B- stands only between two entities of one kind (Ramshaw and Marcus 1995): rewritten as IOB2."""
    for row in _columns(path, name):
        if isinstance(row, Row):
            tags, before = row.values["tags"], "O"
            for index, tag in enumerate(tags):
                begins = tag.startswith("I-") and before[2:] != tag[2:]
                before, tags[index] = tag, f"B-{tag[2:]}" if begins else tag
        yield row


def _lines(path: Path, name: str) -> Iterator[tuple[int, bytes]]:
    """(number, line) without the byte order mark."""
    with _open(path) as source:
        for line, raw in enumerate(iter(partial(source.readline, ROW_BYTES_MAX), b""), 1):
            if line == 1:
                _refuse_utf16(raw, name)
                raw = raw.removeprefix(BOM)
            _refuse_too_long(
                len(raw) + 1, f"{name}:{line}", "is it one object a line, or a list, which is called .json?"
            )
            yield line, raw


def _refuse_too_long(size_bytes: int, place: str, hint: str) -> None:
    """Raises DataInvalid: memory holds some rows at a time, so one may not be of any size."""
    if size_bytes > ROW_BYTES_MAX:
        raise DataInvalid(
            f"{place}: a row of more than {ROW_BYTES_MAX // 2**20} MiB, more than any model reads at once: split it ({hint})."
        )


def _text(path: Path, name: str) -> io.TextIOWrapper:
    """The whole as a stream of text, newlines as they are."""
    with _open(path) as source:
        _refuse_utf16(source.readline(4096), name)
    return io.TextIOWrapper(_open(path), encoding="utf-8-sig", newline="")


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _refuse_utf16(start: bytes, name: str) -> None:
    if start.startswith(UTF_16) or b"\x00" in start[:64]:
        raise DataInvalid(f"{name}:1: not UTF-8 but UTF-16 or binary: save the file as UTF-8.")


def _wrong_encoding(path: Path, name: str) -> DataInvalid:
    """Names the line: whoever decodes a stream knows only where in a block it stood."""
    with _open(path) as source:
        for line, raw in enumerate(source, 1):
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                return DataInvalid(f"{name}:{line}: {_not_utf8(error)}: save the file as UTF-8.")
    return DataInvalid(f"{name}: not UTF-8 at its end: save the file as UTF-8.")


def _not_utf8(error: UnicodeDecodeError) -> str:
    return f"not UTF-8 (byte {error.object[error.start]:#04x} at byte {error.start + 1} of the line)"


def _object(values: Any, place: str) -> Row | Broken:
    return (
        Row(place, values) if isinstance(values, dict) else Broken(place, f"expected an object, found {_kind(values)}")
    )


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", type(None): "null"}.get(
        type(value), f"a {type(value).__name__}"
    )


READERS: dict[str, Callable[[Path, str], Iterator[Row | Broken]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".txt": _txt,
    ".conll": _columns,
    ".bio": _columns,
    ".iob2": _columns,
    ".iob1": _columns_iob1,
}
