"""Files → rows, each with the file and the line it stands in."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataInvalid


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it was found. `line` counts from 1; in CSV, JSON and Parquet it is the row's number."""

    file: str
    line: int
    values: dict[str, Any]

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Broken:
    """A row that can't be read, and why."""

    place: str
    problem: str


def read(path: Path, name: str) -> Iterator[Row | Broken]:
    """The rows of one file, called `name` in messages. Raises DataInvalid when the file as a whole can't be read."""
    suffix = Path(name.removesuffix(".gz")).suffix.lower()
    if suffix not in READERS:
        raise DataInvalid(
            f"{name}: files end in {', '.join(READERS)} (or those with .gz), not in {suffix or 'nothing'}."
        )
    yield from READERS[suffix](path, name)


def _bytes(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if path.suffix == ".gz" else raw


def _text(path: Path, name: str) -> str:
    raw = _bytes(path)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataInvalid(
            f"{name}:{line}: not UTF-8 (byte {raw[error.start]:#04x} at offset {error.start}): save the file as UTF-8."
        ) from error


def _jsonl(path: Path, name: str) -> Iterator[Row | Broken]:
    for line, text in enumerate(_text(path, name).split("\n"), 1):
        if not text.strip():
            continue
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            yield Broken(f"{name}:{line}", f"not JSON: {error.msg} at column {error.colno}, expected one object a line")
            continue
        yield _object(values, name, line)


def _json(path: Path, name: str) -> Iterator[Row | Broken]:
    try:
        rows = json.loads(_text(path, name))
    except json.JSONDecodeError as error:
        raise DataInvalid(
            f"{name}:{error.lineno}: not JSON: {error.msg} at column {error.colno}. One object a line? Then call it .jsonl."
        ) from error
    if not isinstance(rows, list):
        raise DataInvalid(f"{name}: expected a list of objects, found {_kind(rows)}.")
    for line, values in enumerate(rows, 1):
        yield _object(values, name, line)


def _csv(path: Path, name: str) -> Iterator[Row | Broken]:
    reader = csv.DictReader(io.StringIO(_text(path, name), newline=""), restkey="")
    for line, values in enumerate(reader, 1):
        if "" in values or None in values.values():
            yield Broken(
                f"{name}:{line}",
                f"expected {len(reader.fieldnames or ())} columns as in the header, found more or fewer",
            )
        else:
            yield Row(name, line, dict(values))


def _parquet(path: Path, name: str) -> Iterator[Row | Broken]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowInvalid as error:
        raise DataInvalid(f"{name}: not a Parquet file: {error}") from error
    line = 0
    for batch in table.iter_batches(1024):
        for values in batch.to_pylist():
            line += 1
            yield Row(name, line, values)


def _txt(path: Path, name: str) -> Iterator[Row | Broken]:
    """Paragraphs: an empty line ends one."""
    line = 1
    for block in _text(path, name).replace("\r\n", "\n").split("\n\n"):
        if block.strip():
            yield Row(name, line, {"text": block.strip("\n")})
        line += block.count("\n") + 2


def _object(values: Any, name: str, line: int) -> Row | Broken:
    if isinstance(values, dict):
        return Row(name, line, values)
    return Broken(f"{name}:{line}", f"expected an object, found {_kind(values)}")


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
}
