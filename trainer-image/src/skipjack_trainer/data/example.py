"""What a task learns from: tokens, how much each one's prediction counts, and what else the task knows of a row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

PARTS = "parts"
"""What stands beside an example that is several sequences: how many tokens each has, int32. maxLength is of the longest of them."""


WEIGHT = "weight"
"""What stands beside an example that counts as a whole, however long it is: how much, float32 [1]."""


@dataclass(frozen=True, slots=True)
class Example:
    """`input_ids` int32 [length]; `weights` float32 [length], where weights[i] is how much input_ids[i] counts in the loss: for a
    causal model the prediction of it from what stands before. There weights[0] is 0: nothing stands before the first token."""

    input_ids: NDArray[np.int32]
    weights: NDArray[np.float32]
    place: str = ""
    """The file and line that it comes from."""
    beside: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What else the task's writer knows of it, as one-dimensional arrays by name: labels, parts, pixels."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def parts(self) -> tuple[int, ...]:
        """Tokens of each of its sequences."""
        return tuple(self.beside[PARTS].tolist()) if PARTS in self.beside else (len(self.input_ids),)

    @property
    def longest(self) -> int:
        """Tokens of its longest sequence."""
        return max(self.parts)

    def sequences(self) -> list[tuple[NDArray[np.int32], NDArray[np.float32]]]:
        """(input_ids, weights) of each."""
        ends = np.cumsum(self.parts)[:-1]
        return list(zip(np.split(self.input_ids, ends), np.split(self.weights, ends), strict=True))

    @property
    def weight(self) -> float:
        """How much it counts among the examples of a step: as a whole, or by what of it is learnt."""
        return float(self.beside[WEIGHT][0]) if WEIGHT in self.beside else float(self.weights.sum())

    def with_beside(self, **arrays: NDArray[Any]) -> Example:
        return Example(self.input_ids, self.weights, self.place, {**self.beside, **arrays})


def utf8(text: str) -> NDArray[np.uint8]:
    """A text as what may stand beside an example."""
    return np.frombuffer(text.encode(), np.uint8)


def text_of(array: NDArray[np.uint8]) -> str:
    return array.tobytes().decode()


Cut = Callable[[Example, int], Example]
"""(example, tokens) → the example with no sequence longer than that."""


def first_tokens(example: Example, tokens: int) -> Example:
    """Cuts off the end of an example that is one sequence."""
    return Example(example.input_ids[:tokens], example.weights[:tokens], example.place, example.beside)


def first_of_each(example: Example, tokens: int) -> Example:
    """Cuts off the end of each sequence. With one of which nothing is learnt any more, nothing is: it can't be compared."""
    if PARTS not in example.beside:
        return first_tokens(example, tokens)
    cut = [(ids[:tokens], weights[:tokens]) for ids, weights in example.sequences()]
    is_whole = all(weights.any() for _, weights in cut)
    input_ids, weights = (np.concatenate(arrays) for arrays in zip(*cut, strict=True))
    parts = np.array([len(ids) for ids, _ in cut], np.int32)
    return Example(input_ids, weights * np.float32(is_whole), example.place, {**example.beside, PARTS: parts})


@dataclass(frozen=True, slots=True)
class Ragged:
    """N arrays of one type, one after the other."""

    values: NDArray[Any]
    starts: NDArray[np.int64]
    """[N + 1]"""

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self.values[self.starts[row] : self.starts[row + 1]]


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
    """Differs when any token, weight, length or what stands beside them does."""
    beside: Mapping[str, Ragged] = field(default_factory=dict)
    rows_of_sources: tuple[int, ...] = ()
    """Examples of each source, one source's after the other's; none told: all are of one."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def sources(self) -> NDArray[np.int64]:
        """[N]: the number of the source that each example comes from."""
        counts = self.rows_of_sources or (len(self),)
        return np.repeat(np.arange(len(counts)), counts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    @property
    def longest(self) -> NDArray[np.int64]:
        """[N]: tokens of each example's longest sequence."""
        if (parts := self.beside.get(PARTS)) is None or not len(self):
            return self.lengths
        return np.maximum.reduceat(parts.values, parts.starts[:-1]).astype(np.int64)

    def __getitem__(self, row: int) -> Example:
        tokens = slice(self.starts[row], self.starts[row + 1])
        beside = {name: ragged[row] for name, ragged in self.beside.items()}
        return Example(self.input_ids[tokens], self.weights[tokens], self.places[row].decode(), beside)


@dataclass(frozen=True, slots=True)
class Examples(Sequence[Example]):
    """Some of a table's examples, those with a sequence of more than `limit` tokens cut. Choosing and cutting copies no table."""

    table: Table
    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    """Tokens of each, once cut."""
    limit: int | None = None
    cut: Cut = first_tokens

    @classmethod
    def all_of(cls, table: Table, cut: Cut = first_tokens) -> Examples:
        return cls(table, np.arange(len(table)), table.lengths, None, cut)

    @property
    def longest(self) -> NDArray[np.int64]:
        """Tokens of each one's longest sequence, uncut."""
        return self.table.longest[self.rows]

    @property
    def sources(self) -> NDArray[np.int64]:
        """[len]: the number of the source that each one comes from."""
        return self.table.sources[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Examples: ...
    def __getitem__(self, index: int | slice) -> Example | Examples:
        if isinstance(index, slice):
            return self._chosen(index)
        example = self.table[self.rows[index]]
        return example if self.limit is None or example.longest <= self.limit else self.cut(example, self.limit)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def only(self, chosen: NDArray[np.bool_]) -> Examples:
        return self._chosen(chosen)

    def _chosen(self, chosen: slice | NDArray[np.bool_]) -> Examples:
        return Examples(self.table, self.rows[chosen], self.lengths[chosen], self.limit, self.cut)

    def within(self, tokens: int) -> Examples:
        """The same, none of whose sequences is longer than `tokens`."""
        lengths = self.lengths.copy()
        for index in np.flatnonzero(self.longest > tokens).tolist():
            lengths[index] = len(self.cut(self.table[self.rows[index]], tokens))
        return Examples(self.table, self.rows, lengths, tokens, self.cut)

    def with_beside(self, name: str, values: NDArray[Any]) -> Examples:
        """The same with `values[i]` [k] beside the i-th. Only these of the table's examples have it."""
        rows = np.zeros((len(self.table), values.shape[1]), values.dtype)
        rows[self.rows] = values
        starts = np.arange(len(self.table) + 1, dtype=np.int64) * values.shape[1]
        table = replace(self.table, beside={**self.table.beside, name: Ragged(rows.ravel(), starts)})
        return replace(self, table=table)

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
