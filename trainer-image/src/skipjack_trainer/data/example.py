"""What a task learns from: tokens, and how much each one's prediction counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Example:
    """`input_ids` int32 [length]; `weights` float32 [length], where weights[i] is the loss weight of predicting
    input_ids[i] from what stands before it. weights[0] is 0: nothing stands before the first token."""

    input_ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    place: str = ""
    """The file and line that it comes from."""

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True, slots=True)
class Table:
    """N examples of T tokens in all, one after the other in arrays that may lie in files."""

    input_ids: NDArray[np.int32]
    """[T]"""
    weights: NDArray[np.float32]
    """[T]"""
    starts: NDArray[np.int64]
    """[N + 1]: where each example begins, and where the last one ends."""
    places: NDArray[np.bytes_]
    """[N], UTF-8."""
    digest: str
    """Differs when any token, weight or length does."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True)
class Examples(Sequence[Example]):
    """Some of a table's examples, each with its first `lengths[i]` tokens. Choosing and cutting copies no token."""

    table: Table
    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]

    @classmethod
    def all_of(cls, table: Table) -> Examples:
        return cls(table, np.arange(len(table)), table.lengths)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Examples: ...
    def __getitem__(self, index: int | slice) -> Example | Examples:
        if isinstance(index, slice):
            return Examples(self.table, self.rows[index], self.lengths[index])
        row = self.rows[index]
        start = self.table.starts[row]
        tokens = slice(start, start + self.lengths[index])
        return Example(self.table.input_ids[tokens], self.table.weights[tokens], self.table.places[row].decode())

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def only(self, chosen: NDArray[np.bool_]) -> Examples:
        return Examples(self.table, self.rows[chosen], self.lengths[chosen])

    def cut(self, tokens: int) -> Examples:
        return Examples(self.table, self.rows, np.minimum(self.lengths, tokens))

    def learnt_tokens(self) -> float:
        """The sum of all weights."""
        if not len(self):
            return 0.0
        of_whole = np.add.reduceat(self.table.weights, self.table.starts[:-1], dtype=np.float64)
        is_cut = self.lengths < self.table.lengths[self.rows]
        of_cut = sum(float(self[index].weights.sum()) for index in np.flatnonzero(is_cut).tolist())
        return float(of_whole[self.rows[~is_cut]].sum()) + of_cut

    def fingerprint(self) -> str:
        """Differs when any token, weight or their order does."""
        return hashlib.sha256(self.table.digest.encode() + self.rows.tobytes() + self.lengths.tobytes()).hexdigest()
