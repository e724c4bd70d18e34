"""What an epoch is made of: each row as often as its source's weight says, whatever the steps, and plain data as it always was."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from math import ceil

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skipjack.mixture import Mixture, Share
from skipjack_trainer.data.shuffle import Computed, Drawn, shuffle
from skipjack_trainer.engine.order import given_by, order, step_examples

weights = st.integers(1, 3000).map(lambda thousandths: thousandths / 1000)
shares = st.builds(Share, st.integers(0, 30), weights)
mixtures = st.lists(shares, min_size=1, max_size=4).map(lambda some: Mixture(tuple(some)))


def whole(mixture: Mixture, seed: int, epoch: int) -> list[int]:
    """The examples of an epoch in their order."""
    count = mixture.seen_before(epoch + 1) - mixture.seen_before(epoch)
    return order(mixture, seed, epoch, np.arange(count)).tolist()


def counts_of(share: Share, number: int, seed: int, epoch: int) -> np.ndarray:
    """[rows]: how often an epoch has each."""
    count = share.seen_before(epoch + 1) - share.seen_before(epoch)
    return np.bincount(given_by(share, number, seed, epoch, np.arange(count)), minlength=share.rows)


@settings(max_examples=60, deadline=None)
@given(share=shares, number=st.integers(0, 3), seed=st.integers(0, 9), epochs=st.integers(1, 25))
def test_over_many_epochs_each_row_is_seen_within_one_of_epochs_times_weight(
    share: Share, number: int, seed: int, epochs: int
) -> None:
    seen = np.zeros(share.rows, np.int64)
    for epoch in range(epochs):
        counts = counts_of(share, number, seed, epoch)
        assert np.all(np.abs(counts - share.weight) < 1), "in one epoch too"
        seen += counts
        assert np.all(np.abs(seen - (epoch + 1) * share.weight) < 1)
        assert seen.sum() == (epoch + 1) * round(share.weight * 1000) * share.rows // 1000


@settings(max_examples=60, deadline=None)
@given(mixture=mixtures, seed=st.integers(0, 9), batch=st.integers(1, 7), steps=st.integers(1, 20))
def test_steps_follow_one_another_through_the_epochs_and_leave_no_row_out(
    mixture: Mixture, seed: int, batch: int, steps: int
) -> None:
    if mixture.epoch_rows < 0.5:
        return
    total = steps * batch - 1
    taken = [index for step in range(steps) for index in step_examples(step, batch, mixture, seed, total)]
    assert len(taken) == total
    epochs, epoch = list[int](), 0
    while len(epochs) < total:
        epochs += whole(mixture, seed, epoch)
        epoch += 1
    assert taken == epochs[:total]


def test_an_epoch_has_exactly_what_each_source_gives() -> None:
    mixture = Mixture((Share(10, 2), Share(100, 0.1), Share(8, 1.5), Share(7)))
    for epoch in range(10):
        counts = Counter(whole(mixture, 42, epoch))
        assert [counts[row] for row in range(10)] == [2] * 10
        assert sum(counts[row] for row in range(10, 110)) == 10
        assert sorted(counts[row] for row in range(110, 118)) == [1] * 4 + [2] * 4
        assert [counts[row] for row in range(118, 125)] == [1] * 7
    tenths = [{row for row in whole(mixture, 42, epoch) if 10 <= row < 110} for epoch in range(10)]
    assert set.union(*tenths) == set(range(10, 110)), "another tenth in each epoch"


def test_which_rows_an_epoch_takes_and_their_order_are_drawn_by_the_seed() -> None:
    mixture = Mixture((Share(50, 0.5), Share(50, 0.5)))
    first, other = (whole(mixture, seed, 0) for seed in (1, 2))
    assert first == whole(mixture, 1, 0)
    assert sorted(first) != sorted(other)
    chosen = [{row % 50 for row in first if row // 50 == source} for source in (0, 1)]
    assert chosen[0] != chosen[1], "each source by a draw of its own"


def test_without_weights_an_epoch_is_the_permutation_that_it_always_was() -> None:
    rows, seed = 23, 42
    expected = [np.random.default_rng((seed, epoch)).permutation(rows).tolist() for epoch in range(3)]
    positions = [index for step in range(10) for index in step_examples(step, 7, Mixture.plain(rows), seed, 3 * rows)]
    assert positions == [*expected[0], *expected[1], *expected[2]]
    assert whole(Mixture((Share(20), Share(3))), seed, 1) == expected[1]


@given(rows=st.integers(1, 10_000), epochs=st.floats(0.01, 1000))
def test_without_weights_so_many_epochs_are_as_many_rows_as_they_always_were(rows: int, epochs: float) -> None:
    assert Mixture.plain(rows).seen_in(epochs) == ceil(rows * epochs)


@settings(max_examples=200, deadline=None)
@given(length=st.integers(1, 5000), seed=st.integers(0, 2**64), epoch=st.integers(0, 99))
def test_any_order_that_is_computed_is_a_permutation_and_tells_where_a_row_stands(
    length: int, seed: int, epoch: int
) -> None:
    computed, rows = Computed(length, (seed, epoch)), np.arange(length)
    assert sorted(computed.at(rows)) == rows.tolist()
    assert np.array_equal(computed.place_of(computed.at(rows)), rows)


def test_an_order_that_is_computed_looks_drawn() -> None:
    """By chi squared over 20 x 20 fields of (place, row): its mean is 361, and one order in a million is beyond 510."""
    length = 200_000
    for key in ((1, 0), (1, 1), (2, 0)):
        rows = Computed(length, key).at(np.arange(length))
        fields, _, _ = np.histogram2d(np.arange(length), rows, bins=20)
        expected = length / 400
        assert ((fields - expected) ** 2 / expected).sum() < 510
        assert abs(np.corrcoef(rows[1:], rows[:-1])[0, 1]) < 5 / length**0.5, "neighbours have nothing in common"
    assert not np.array_equal(Computed(length, (1, 0)).at(np.arange(9)), Computed(length, (1, 1)).at(np.arange(9)))


def test_a_small_order_is_drawn_and_of_a_billion_rows_no_array_is_made() -> None:
    assert isinstance(shuffle(1000, 1, 0), Drawn)
    mixture = Mixture((Share(10**9, 0.3), Share(10**8, 2.5)))
    tracemalloc.start()
    taken = [index for step in range(20) for index in step_examples(step, 16, mixture, 42, 10**9)]
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2**20
    assert len(set(taken)) == 320
    of_first = sum(index < 10**9 for index in taken) / 320
    assert abs(of_first - 0.3 / 0.55) < 0.15
