"""Tables in files: written as examples come, so that memory holds a batch of them, and read by mapping them into it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..digests import digest
from .example import RUNS, Example, Ragged, Table, runs_of, utf8
from .spool import mapped

TOKENS = "input_ids"
WEIGHTS = "weights"
PLACES = "places"
ROWS = "row_numbers"
WHOLE = "whole.json"
"""Written last, with each array's type, and the digests of all files."""

KINDS = {TOKENS: "int32", WEIGHTS: RUNS, PLACES: "uint8"}
TELL_NO_CONTENT = (PLACES, f"{PLACES}.starts", ROWS)
"""A file may be called otherwise."""


class NotWhole(Exception):
    """A folder that holds no table, or a damaged one."""


def write_table(sources: Iterable[Iterable[Example]], folder: Path, words: int | None = None) -> tuple[int, ...]:
    """Into a new folder, two files for each array: its values, and where each example's begin. All examples have the same beside
    them, and no token is `words` or more. Returns how many there are of each source. Raises OSError."""
    folder.mkdir(parents=True)
    counts, number = [], -1
    with ExitStack() as stack:
        narrow = {TOKENS: "uint16"} if words is not None and words <= 2**16 else {}
        columns = {name: stack.enter_context(Column(folder / name, kind)) for name, kind in (KINDS | narrow).items()}
        numbers = stack.enter_context((folder / ROWS).open("wb"))
        for source in sources:
            counts.append(0)
            place = None
            for example in source:
                if number < 0:
                    kinds = {name: array.dtype.name for name, array in example.beside.items()}
                    columns |= {name: stack.enter_context(Column(folder / name, kind)) for name, kind in kinds.items()}
                # What one row gives stands together; a file of the same name may be of another source.
                number, place = number + (example.place != place), example.place
                numbers.write(number.to_bytes(8, sys.byteorder))
                arrays = {TOKENS: example.input_ids, WEIGHTS: runs_of(example.weights), PLACES: utf8(example.place)}
                for name, array in (arrays | dict(example.beside)).items():
                    columns[name].add(array)
                counts[-1] += 1
    files = [file.name for file in sorted(folder.iterdir())]
    told = {"kinds": {name: column.kind for name, column in columns.items()}}
    (folder / WHOLE).write_text(json.dumps(told | {"digests": {name: digest(folder / name) for name in files}}))
    return tuple(counts)


class Column:
    """One array of each example, on its way into two files."""

    def __init__(self, file: Path, kind: str) -> None:
        self.kind, self.end = kind, 0
        self.values = file.open("wb")
        self.starts = file.with_name(f"{file.name}.starts").open("wb")
        self._tell()

    def add(self, array: NDArray[Any]) -> None:
        self.values.write(np.ascontiguousarray(array, self.kind).data)
        self.end += len(array)
        self._tell()

    def _tell(self) -> None:
        self.starts.write(self.end.to_bytes(8, sys.byteorder))

    def __enter__(self) -> Column:
        return self

    def __exit__(self, *_: object) -> None:
        self.values.close()
        self.starts.close()


def read_table(folder: Path) -> Table:
    """Raises NotWhole unless every byte is as it was written."""
    try:
        told = json.loads((folder / WHOLE).read_text())
        kinds, digests = told["kinds"], told["digests"]
        if digests != {name: digest(folder / name) for name in digests}:
            raise NotWhole(f"{folder}: its files are not those that were written.")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotWhole(f"{folder}: {error}") from error
    ragged = {
        name: Ragged(mapped(folder / name, kind), mapped(folder / f"{name}.starts", "int64"))
        for name, kind in kinds.items()
    }
    tokens, weights, places = (ragged.pop(name) for name in KINDS)
    content = "".join(f"{name} {digests[name]}" for name in sorted(digests) if name not in TELL_NO_CONTENT)
    of_all = hashlib.sha256(content.encode()).hexdigest()
    numbers = mapped(folder / ROWS, "int64")
    return Table(tokens.values, tokens.starts, weights, places, numbers, of_all, ragged)
