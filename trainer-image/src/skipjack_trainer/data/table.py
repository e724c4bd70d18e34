"""Tables in files: written as examples come, so that memory holds a batch of them, and read by mapping them into it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .example import Example, Table

TOKENS = "input_ids.int32"
WEIGHTS = "weights.float32"
ROWS = "rows.npz"
WHOLE = "whole.json"
"""Written last, with the digests of the others."""


class NotWhole(Exception):
    """A folder that holds no table, or a damaged one."""


def write_table(examples: Iterable[Example], folder: Path) -> None:
    """Into a new folder."""
    folder.mkdir(parents=True)
    lengths, places = [], []
    with (folder / TOKENS).open("wb") as tokens, (folder / WEIGHTS).open("wb") as weights:
        for example in examples:
            example.input_ids.tofile(tokens)
            example.weights.tofile(weights)
            lengths.append(len(example))
            places.append(example.place.encode())
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    with (folder / ROWS).open("wb") as rows:
        np.savez(rows, starts=starts, places=np.array(places, np.bytes_))
    (folder / WHOLE).write_text(json.dumps(_digests(folder)))


def read_table(folder: Path) -> Table:
    """Raises NotWhole unless every byte is as it was written."""
    try:
        digests = json.loads((folder / WHOLE).read_text())
        if digests != _digests(folder):
            raise NotWhole(f"{folder}: its files are not those that were written.")
    except (OSError, ValueError) as error:
        raise NotWhole(f"{folder}: {error}") from error
    with np.load(folder / ROWS) as rows:
        starts, places = rows["starts"], rows["places"]
    digest = hashlib.sha256((digests[TOKENS] + digests[WEIGHTS]).encode() + starts.tobytes()).hexdigest()
    return Table(_mapped(folder / TOKENS, np.int32), _mapped(folder / WEIGHTS, np.float32), starts, places, digest)


def _mapped(path: Path, kind: Any) -> NDArray[Any]:
    # A plain view: slices of numpy's own memmap take five times as long.
    return np.asarray(np.memmap(path, kind, mode="r")) if path.stat().st_size else np.empty(0, kind)


def _digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file, by its name."""
    digests = {}
    for name in (TOKENS, WEIGHTS, ROWS):
        with (folder / name).open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests
