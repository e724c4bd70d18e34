"""Which examples a step learns from: a function of the seed and the step, whatever the hardware."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from skipjack.mixture import UNIT, Mixture, Share

PHASES = 1
"""Sets the draw of a source's phases apart from that of an epoch's order."""


def step_examples(step: int, batch: int, mixture: Mixture, seed: int, total: int) -> list[int]:
    """Examples of `step` (from 0): the next `batch` of epoch after epoch, `total` examples in all. Those of the mixture's first
    source are the first examples, and so on."""
    positions = range(step * batch, min((step + 1) * batch, total))
    places = (mixture.epoch_of(position) for position in positions)
    return [int(order(mixture, seed, epoch)[place]) for epoch, place in places]


@lru_cache(maxsize=2)  # a step asks for it once an example, and may end one epoch and begin the next
def order(mixture: Mixture, seed: int, epoch: int) -> NDArray[np.int64]:
    """The examples of `epoch`, in their order: a permutation by (seed, epoch) of all that its sources give."""
    counts = [share_of(share, number, seed, epoch) for number, share in enumerate(mixture.shares)]
    given = np.repeat(np.arange(sum(share.rows for share in mixture.shares)), np.concatenate(counts))
    return given[np.random.default_rng((seed, epoch)).permutation(len(given))]


def share_of(share: Share, number: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """[rows]: how often `epoch` has each row of the source `number`.

    Row i has been seen ⌊e·weight + pᵢ/rows⌋ times before epoch e, where the phases p are a permutation of 0 … rows - 1 by
    (seed, number). So no count is ever 1 or more from e·weight, and together they are ⌊e·weight·rows⌋ (Hermite's identity).
    """
    phases = np.random.default_rng((seed, number, PHASES)).permutation(share.rows)

    def before(epoch: int) -> NDArray[np.int64]:
        whole, part = share.passes_before(epoch)
        return whole + (part * share.rows + phases * UNIT >= UNIT * share.rows)

    return before(epoch + 1) - before(epoch)


def draw_seed(seed: int, step: int, example: int) -> int:
    """Seed of an example's randomness, and of a micro-batch's by its first one: never by the rank, so that gangs of any size draw the same."""
    return int(np.random.SeedSequence((seed, step, example)).generate_state(1, np.uint64)[0] >> 1)


def heldout_seed(example: int) -> int:
    """Seed of a held-out example, whatever the step and the spec's seed: then two evaluations differ by the model alone."""
    return draw_seed(0, 0, example)
