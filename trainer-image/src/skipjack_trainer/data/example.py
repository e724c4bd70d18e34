"""What a task learns from: tokens, how much each one's prediction counts, and what else the task knows of a row."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from .spool import blocks, counted, spooled, zeros

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


RUNS = "u4,f4"
"""Weights as (how many tokens, the weight of each), again and again: most rows have some three such runs."""


def runs_of(weights: NDArray[np.float32]) -> NDArray[Any]:
    changes = np.flatnonzero(weights[1:] != weights[:-1])
    bounds = np.zeros(len(changes) + 2, np.int64)
    bounds[1:-1], bounds[-1] = changes + 1, len(weights)
    runs = np.empty(len(bounds) - 1 if len(weights) else 0, RUNS)
    runs["f0"], runs["f1"] = np.diff(bounds)[: len(runs)], weights[bounds[: len(runs)]]
    return runs


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
    """N examples of T tokens in all, one after the other in arrays that lie in files: N may be too many for memory."""

    input_ids: NDArray[np.int32] | NDArray[np.uint16]
    """[T]"""
    starts: NDArray[np.int64]
    """[N + 1]: where each example begins, and where the last one ends."""
    runs: Ragged
    """Of weights."""
    places: Ragged
    """uint8, UTF-8."""
    row_numbers: NDArray[np.int64]
    """[N]: of the row that each example is of, over all sources. Those of one row stand together."""
    digest: str
    """Differs when any token, weight, length or what stands beside them does."""
    beside: Mapping[str, Ragged] = field(default_factory=dict)
    rows_of_sources: tuple[int, ...] = ()
    """Examples of each source, one source's after the other's; none told: all are of one."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of each of those."""
        return self.starts[rows + 1] - self.starts[rows]

    def longest(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of the longest sequence of each of those."""
        if (parts := self.beside.get(PARTS)) is None or not len(rows):
            return self.lengths(rows)
        first, starts = _between(parts.starts, rows)
        longest = np.maximum.reduceat(parts.values[starts[0] : starts[-1]], starts[:-1] - starts[0])
        return longest[rows - first].astype(np.int64)

    def learnt(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The sum of the weights of each of those."""
        first, starts = _between(self.runs.starts, rows)
        runs = self.runs.values[starts[0] : starts[-1]]
        sums: NDArray[np.float64] = np.add.reduceat(runs["f0"] * runs["f1"].astype(np.float64), starts[:-1] - starts[0])
        return sums[rows - first]

    def __getitem__(self, row: int) -> Example:
        input_ids = self.input_ids[self.starts[row] : self.starts[row + 1]].astype(np.int32, copy=False)
        runs = self.runs[row]
        beside = {name: ragged[row] for name, ragged in self.beside.items()}
        return Example(input_ids, np.repeat(runs["f1"], runs["f0"]), text_of(self.places[row]), beside)


def _between(starts: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
    """(the first of the rows, the starts from there to the end of the last of them)."""
    first, last = int(rows.min()), int(rows.max())
    return first, starts[first : last + 2]


@dataclass(frozen=True, slots=True)
class Examples(Sequence[Example]):
    """Some of a table's examples, those with a sequence of more than `limit` tokens cut. Choosing and cutting copies no table, and
    what there is one of a row lies in a file."""

    table: Table
    rows: NDArray[np.int64]
    lengths: NDArray[np.int64]
    """Tokens of each, once cut."""
    limit: int | None = None
    cut: Cut = first_tokens

    @classmethod
    def all_of(cls, table: Table, cut: Cut = first_tokens) -> Examples:
        rows = counted(len(table))
        return cls(
            table, rows, spooled((table.lengths(rows[block]) for block in blocks(len(rows))), "int64"), None, cut
        )

    def parts(self) -> Iterator[Examples]:
        """All of them, as many at a time as memory may hold something of each."""
        return (self[block] for block in blocks(len(self)))

    @property
    def longest(self) -> NDArray[np.int64]:
        """Tokens of each one's longest sequence, uncut. Of a part: of all it may be more than memory holds."""
        return self.table.longest(self.rows)

    @property
    def longest_of_all(self) -> int:
        return max((int(part.longest.max()) for part in self.parts()), default=0)

    @property
    def tokens(self) -> int:
        return sum(int(part.lengths.sum()) for part in self.parts())

    def of_sources(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(examples, tokens) of each source."""
        counts = self.table.rows_of_sources or (len(self.table),)
        ends = np.cumsum(counts)
        told = np.zeros((2, len(counts)), np.int64)
        for part in self.parts():
            numbers = np.searchsorted(ends, part.rows, "right")
            told[0] += np.bincount(numbers, minlength=len(counts))
            told[1] += np.bincount(numbers, part.lengths, len(counts)).astype(np.int64)
        return told[0], told[1]

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Examples: ...
    def __getitem__(self, index: int | slice) -> Example | Examples:
        if isinstance(index, slice):
            return replace(self, rows=self.rows[index], lengths=self.lengths[index])
        example = self.table[self.rows[index]]
        return example if self.limit is None or example.longest <= self.limit else self.cut(example, self.limit)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def only(self, is_chosen: Callable[[Examples], NDArray[np.bool_]]) -> Examples:
        """Those of each part that `is_chosen` says yes to."""
        chosen = spooled((block.start + np.flatnonzero(is_chosen(self[block])) for block in blocks(len(self))), "int64")
        rows, lengths = (
            spooled((array[some] for some in _parts(chosen)), "int64") for array in (self.rows, self.lengths)
        )
        return replace(self, rows=rows, lengths=lengths)

    def within(self, tokens: int) -> Examples:
        """The same, none of whose sequences is longer than `tokens`."""
        return replace(self, lengths=spooled((part._cut_to(tokens) for part in self.parts()), "int64"), limit=tokens)

    def _cut_to(self, tokens: int) -> NDArray[np.int64]:
        lengths = self.lengths.copy()
        for index in np.flatnonzero(self.longest > tokens).tolist():
            lengths[index] = len(self.cut(self.table[self.rows[index]], tokens))
        return lengths

    def with_beside(self, name: str, values: NDArray[Any]) -> Examples:
        """The same with `values[i]` [k] beside the i-th. Only these of the table's examples have it."""
        columns = values.shape[1]
        rows = zeros(len(self.table), columns, values.dtype.name)
        for block in blocks(len(self)):
            rows[self.rows[block]] = values[block]
        starts = spooled((part * columns for part in _parts(counted(len(self.table) + 1))), "int64")
        table = replace(self.table, beside={**self.table.beside, name: Ragged(rows.ravel(), starts)})
        return replace(self, table=table)

    def learnt_tokens(self) -> float:
        """The sum of all weights."""
        return sum(part._learnt() for part in self.parts())

    def _learnt(self) -> float:
        is_cut = self.lengths < self.table.lengths(self.rows)
        of_cut = sum(float(self[index].weights.sum()) for index in np.flatnonzero(is_cut).tolist())
        return float(self.table.learnt(self.rows)[~is_cut].sum()) + of_cut

    def fingerprint(self) -> str:
        """Differs when any token, weight or their order does."""
        told = hashlib.sha256(self.table.digest.encode())
        for array in (self.rows, self.lengths):
            for part in _parts(array):
                told.update(part.tobytes())
        return told.hexdigest()


def _parts(array: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (array[block] for block in blocks(len(array)))
