"""Tables in files: written as examples come, so that memory holds a batch of them, and read by mapping them into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .example import Example, Ragged, Table

TOKENS = "input_ids"
WEIGHTS = "weights"
ROWS = "rows.npz"
WHOLE = "whole.json"
"""Written last, with each array's type, and the digests of all files."""


class NotWhole(Exception):
    """A folder that holds no table, or a damaged one."""


def write_table(examples: Iterable[Example], folder: Path) -> None:
    """Into a new folder: a file for each array, and one for where each row's part of it begins. All examples have the same beside them."""
    folder.mkdir(parents=True)
    rest = iter(examples)
    first = list(_next(rest))
    kinds = {TOKENS: "int32", WEIGHTS: "float32"}
    kinds |= {name: array.dtype.name for example in first for name, array in example.beside.items()}
    lengths: dict[str, list[int]] = {name: [] for name in kinds}
    places = []
    with ExitStack() as stack:
        files = {name: stack.enter_context((folder / name).open("wb")) for name in kinds}
        for example in chain(first, rest):
            for name, array in {TOKENS: example.input_ids, WEIGHTS: example.weights, **example.beside}.items():
                array.astype(kinds[name], copy=False).tofile(files[name])
                lengths[name].append(len(array))
            places.append(example.place.encode())
    starts = {name: np.concatenate([[0], np.cumsum(of_rows)]).astype(np.int64) for name, of_rows in lengths.items()}
    del starts[WEIGHTS]
    with (folder / ROWS).open("wb") as rows:
        np.savez(rows, places=np.array(places, np.bytes_), **starts)
    digests = {name: _digest(folder / name) for name in (*kinds, ROWS)}
    (folder / WHOLE).write_text(json.dumps({"kinds": kinds, "digests": digests}))


def _next(examples: Iterable[Example]) -> Iterable[Example]:
    for example in examples:
        yield example
        return


def read_table(folder: Path) -> Table:
    """Raises NotWhole unless every byte is as it was written."""
    try:
        told = json.loads((folder / WHOLE).read_text())
        kinds, digests = told["kinds"], told["digests"]
        if digests != {name: _digest(folder / name) for name in digests}:
            raise NotWhole(f"{folder}: its files are not those that were written.")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotWhole(f"{folder}: {error}") from error
    with np.load(folder / ROWS) as rows:
        starts = {name: rows[name] for name in rows}
    places, of_tokens = starts.pop("places"), starts.pop(TOKENS)
    beside = {name: Ragged(_mapped(folder / name, kinds[name]), begins) for name, begins in starts.items()}
    # Not of `places`: a file may be called otherwise.
    content = "".join(f"{name} {digests[name]}" for name in sorted(kinds)).encode()
    digest = hashlib.sha256(
        content + b"".join(begins.tobytes() for begins in (of_tokens, *starts.values()))
    ).hexdigest()
    return Table(
        _mapped(folder / TOKENS, "int32"), _mapped(folder / WEIGHTS, "float32"), of_tokens, places, digest, beside
    )


def _mapped(path: Path, kind: str) -> NDArray[Any]:
    # A plain view: slices of numpy's own memmap take five times as long.
    return np.asarray(np.memmap(path, kind, mode="r")) if path.stat().st_size else np.empty(0, kind)


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
