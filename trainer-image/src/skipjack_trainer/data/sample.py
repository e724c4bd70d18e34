"""Of data far larger than its steps need, rows drawn by the seed: all are checked, no others are tokenised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import compress, islice
from math import ceil
from typing import TypeVar

import numpy as np

from skipjack.mixture import Mixture, Share
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.data import BATCH_BY_DEFAULT

from .check import CheckedSource
from .shuffle import Draw, shuffle
from .sources import Sources
from .spool import blocks

Item = TypeVar("Item")

LARGE_BYTES = 2**26
"""Of train's files, from which on it is worth it: a core tokenises less in half a minute."""


def rows_seen(spec: ResolvedSpec, sources: Sources) -> int | None:
    """How many the steps see, where train is so large that it may be worth to take no more; None where all are taken."""
    own = spec.hyperparameters
    size_bytes = sum(file.size_bytes for source in sources.train for file in source.files)
    if own.epochs is not None or own.max_steps is None or size_bytes < LARGE_BYTES:
        return None
    return own.max_steps * (own.global_batch_size or BATCH_BY_DEFAULT)


def sampled(spec: ResolvedSpec, sources: Sources, train: Sequence[CheckedSource]) -> tuple[CheckedSource, ...]:
    """The sources, each with the same share of its rows where half of them or less are all that is seen and held out.

    A source's weight stays what it is: an epoch of the sample is what the steps see.
    """
    seen = rows_seen(spec, sources)
    if seen is None:
        return tuple(train)
    part = seen / Mixture(tuple(Share(one.rows, one.source.told.weight) for one in train)).epoch_rows
    held = spec.dataset.validation_split or "0"
    part = (
        part / (1 - int(held[:-1]) / 100) if held.endswith("%") else part + int(held) / sum(one.rows for one in train)
    )
    if part > 1 / 2:
        return tuple(train)
    return tuple(replace(one, sample=ceil(part * one.rows)) for one in train)


def taken(rows: Iterable[Item], checked: CheckedSource, *key: int) -> Iterator[Item]:
    """Those of a source's rows that are in its sample, in their order. `key`: of the draw."""
    if checked.sample is None:
        yield from rows
        return
    order, rest = shuffle(checked.rows, *key, Draw.SAMPLE), iter(rows)
    for block in blocks(checked.rows):
        is_taken = order.place_of(np.arange(block.start, block.stop)) < checked.sample
        yield from compress(islice(rest, len(is_taken)), is_taken.tolist())
