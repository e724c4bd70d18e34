"""Which examples a step learns from: a function of the seed and the step, whatever the hardware."""

from __future__ import annotations

import numpy as np


def step_examples(step: int, batch: int, rows: int, seed: int, total: int) -> list[int]:
    """Examples of `step` (from 0): the next `batch` out of one permutation of the rows an epoch, `total` examples in all."""
    positions = range(step * batch, min((step + 1) * batch, total))
    return [int(permutation(rows, seed, position // rows)[position % rows]) for position in positions]


def permutation(rows: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `epoch`."""
    if (rows, seed, epoch) not in _LAST:
        _LAST.clear()
        _LAST[rows, seed, epoch] = np.random.default_rng((seed, epoch)).permutation(rows)
    return _LAST[rows, seed, epoch]


_LAST: dict[tuple[int, int, int], np.ndarray] = {}
"""The permutation in use: a step asks for it once an example."""


def example_seed(seed: int, step: int, example: int) -> int:
    """Seed of an example's randomness in a step; of a micro-batch's (dropout), that of its first. Never by the rank, so that gangs of any
    size draw the same."""
    return int(np.random.SeedSequence((seed, step, example)).generate_state(1, np.uint64)[0] >> 1)


def heldout_seed(example: int) -> int:
    """Seed of a held-out example, whatever the step and the spec's seed: then two evaluations differ by the model alone."""
    return example_seed(0, 0, example)
