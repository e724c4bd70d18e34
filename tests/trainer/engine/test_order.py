"""What an epoch is made of: each row as often as its source's weight says, whatever the steps, and plain data as it always was."""

from __future__ import annotations

from collections import Counter
from math import ceil

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from skipjack.mixture import Mixture, Share
from skipjack_trainer.engine.order import order, share_of, step_examples

weights = st.integers(1, 3000).map(lambda thousandths: thousandths / 1000)
shares = st.builds(Share, st.integers(0, 30), weights)
mixtures = st.lists(shares, min_size=1, max_size=4).map(lambda some: Mixture(tuple(some)))


@settings(max_examples=60, deadline=None)
@given(share=shares, number=st.integers(0, 3), seed=st.integers(0, 9), epochs=st.integers(1, 25))
def test_over_many_epochs_each_row_is_seen_within_one_of_epochs_times_weight(
    share: Share, number: int, seed: int, epochs: int
) -> None:
    seen = np.zeros(share.rows, np.int64)
    for epoch in range(epochs):
        counts = share_of(share, number, seed, epoch)
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
    whole, epoch = [], 0
    while len(whole) < total:
        whole += order(mixture, seed, epoch).tolist()
        epoch += 1
    assert taken == whole[:total]


def test_an_epoch_has_exactly_what_each_source_gives() -> None:
    mixture = Mixture((Share(10, 2), Share(100, 0.1), Share(8, 1.5), Share(7)))
    for epoch in range(10):
        counts = Counter(order(mixture, 42, epoch).tolist())
        assert [counts[row] for row in range(10)] == [2] * 10
        assert sum(counts[row] for row in range(10, 110)) == 10
        assert sorted(counts[row] for row in range(110, 118)) == [1] * 4 + [2] * 4
        assert [counts[row] for row in range(118, 125)] == [1] * 7
    tenths = [{row for row in order(mixture, 42, epoch).tolist() if 10 <= row < 110} for epoch in range(10)]
    assert set.union(*tenths) == set(range(10, 110)), "another tenth in each epoch"


def test_which_rows_an_epoch_takes_and_their_order_are_drawn_by_the_seed() -> None:
    mixture = Mixture((Share(50, 0.5), Share(50, 0.5)))
    first, other = (order(mixture, seed, 0).tolist() for seed in (1, 2))
    assert first == order(mixture, 1, 0).tolist()
    assert sorted(first) != sorted(other)
    chosen = [{row % 50 for row in first if row // 50 == source} for source in (0, 1)]
    assert chosen[0] != chosen[1], "each source by a draw of its own"


def test_without_weights_an_epoch_is_the_permutation_that_it_always_was() -> None:
    rows, seed = 23, 42
    expected = [np.random.default_rng((seed, epoch)).permutation(rows).tolist() for epoch in range(3)]
    positions = [index for step in range(10) for index in step_examples(step, 7, Mixture.plain(rows), seed, 3 * rows)]
    assert positions == [*expected[0], *expected[1], *expected[2]]
    assert order(Mixture((Share(20), Share(3))), seed, 1).tolist() == expected[1]


@given(rows=st.integers(1, 10_000), epochs=st.floats(0.01, 1000))
def test_without_weights_so_many_epochs_are_as_many_rows_as_they_always_were(rows: int, epochs: float) -> None:
    assert Mixture.plain(rows).seen_in(epochs) == ceil(rows * epochs)
