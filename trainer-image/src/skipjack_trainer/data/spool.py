"""Arrays as long as the data: in files that are mapped, so that what is in memory of them can be taken back, and worked on in blocks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

BLOCK = 2**16
"""Rows that are worked on at a time."""


def blocks(length: int) -> Iterator[slice]:
    """One after the other, to the end."""
    return (slice(begin, min(begin + BLOCK, length)) for begin in range(0, length, BLOCK))


def mapped(file: Path | IO[bytes], kind: str) -> NDArray[Any]:
    """What was written there, [n]."""
    # A plain view: slices of numpy's own memmap take five times as long.
    size_bytes = file.stat().st_size if isinstance(file, Path) else os.fstat(file.fileno()).st_size
    return np.asarray(np.memmap(file, kind, mode="r")) if size_bytes else np.empty(0, kind)


def spooled(parts: Iterable[NDArray[Any]], kind: str) -> NDArray[Any]:
    """The parts as one array, in a file without a name that goes when the array does. Raises OSError when the disk is full."""
    with TemporaryFile() as file:
        for part in parts:
            file.write(np.ascontiguousarray(part, kind).data)
        file.flush()
        return mapped(file, kind)


def counted(length: int) -> NDArray[np.int64]:
    """0 … length - 1."""
    return spooled((np.arange(block.start, block.stop) for block in blocks(length)), "int64")


def zeros(rows: int, columns: int, kind: str) -> NDArray[Any]:
    """[rows, columns], to be written to. Raises OSError when the disk is full."""
    size_bytes = rows * columns * np.dtype(kind).itemsize
    if not size_bytes:
        return np.zeros((rows, columns), kind)
    with TemporaryFile() as file:
        # Else a disk that is full would end the process when a page is written to.
        os.posix_fallocate(file.fileno(), 0, size_bytes)
        return np.asarray(np.memmap(file, kind, mode="r+", shape=(rows, columns)))
