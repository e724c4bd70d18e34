"""Which examples a step learns from: a function of the seed and the step, whatever the hardware, in memory for a step alone."""

from __future__ import annotations

import numpy as np

from skipjack.mixture import Mixture, Share

from ..data.shuffle import Draw, Numbers, shuffle


def step_examples(step: int, batch: int, mixture: Mixture, seed: int, total: int) -> list[int]:
    """Examples of `step` (from 0): the next `batch` of epoch after epoch, `total` examples in all. Those of the mixture's first
    source are the first examples, and so on."""
    places: dict[int, list[int]] = {}
    for position in range(step * batch, min((step + 1) * batch, total)):
        epoch, place = mixture.epoch_of(position)
        places.setdefault(epoch, []).append(place)
    return [
        example
        for epoch, some in places.items()
        for example in order(mixture, seed, epoch, np.array(some, np.int64)).tolist()
    ]


def order(mixture: Mixture, seed: int, epoch: int, places: Numbers) -> Numbers:
    """The examples at these places of `epoch`, in an order by (seed, epoch) of all that its sources give."""
    before, after = mixture.seen_before(epoch), mixture.seen_before(epoch + 1)
    drawn = shuffle(after - before, seed, epoch).at(places)
    found = np.empty_like(drawn)
    given = rows = 0
    for number, share in enumerate(mixture.shares):
        count = share.seen_before(epoch + 1) - share.seen_before(epoch)
        is_of = (drawn >= given) & (drawn < given + count)
        found[is_of] = rows + given_by(share, number, seed, epoch, drawn[is_of] - given)
        given, rows = given + count, rows + share.rows
    return found


def given_by(share: Share, number: int, seed: int, epoch: int, places: Numbers) -> Numbers:
    """The rows at these places of all that the source `number` gives to `epoch`.

    Its rows take turns, in an order by (seed, number): epoch after epoch takes the next ones, so that after e epochs, which are
    ⌊e·weight·rows⌋ rows, each has been seen e·weight times, give or take less than one.
    """
    before, after = share.seen_before(epoch), share.seen_before(epoch + 1)
    if (after - before) % max(1, share.rows) == 0:
        return places % max(1, share.rows)  # all of them equally often: whose turn it is doesn't matter
    return shuffle(share.rows, seed, number, Draw.TURNS).at((before + places) % share.rows)


def draw_seed(seed: int, step: int, example: int) -> int:
    """Seed of an example's randomness, and of a micro-batch's by its first one: never by the rank, so that gangs of any size draw the same."""
    return int(np.random.SeedSequence((seed, step, example)).generate_state(1, np.uint64)[0] >> 1)


def heldout_seed(example: int) -> int:
    """Seed of a held-out example, whatever the step and the spec's seed: then two evaluations differ by the model alone."""
    return draw_seed(0, 0, example)
