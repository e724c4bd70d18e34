"""Micro-batches: every example once, within the budget of tokens, the same each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipjack_trainer.data.packing import pack, pad

Grouping = Callable[[Sequence[int], int], list[list[int]]]
LENGTHS = st.lists(st.integers(1, 200), max_size=60)
BUDGET = st.integers(8, 400)


def packed_tokens(lengths: Sequence[int], group: Sequence[int]) -> int:
    return sum(lengths[position] for position in group)


def padded_tokens(lengths: Sequence[int], group: Sequence[int]) -> int:
    return len(group) * max(lengths[position] for position in group)


@pytest.mark.parametrize(("grouping", "tokens"), [(pack, packed_tokens), (pad, padded_tokens)])
@given(lengths=LENGTHS, budget=BUDGET)
def test_every_position_comes_once_and_no_group_passes_the_budget_but_one_that_is_too_long_alone(
    grouping: Grouping, tokens: Callable[[Sequence[int], Sequence[int]], int], lengths: list[int], budget: int
) -> None:
    groups = grouping(lengths, budget)
    assert sorted(position for group in groups for position in group) == list(range(len(lengths)))
    assert all(groups)
    assert all(tokens(lengths, group) <= budget or len(group) == 1 for group in groups)
    assert groups == grouping(lengths, budget)


@given(lengths=LENGTHS, budget=BUDGET)
def test_packing_never_leaves_two_groups_that_would_fit_into_one(lengths: list[int], budget: int) -> None:
    used = sorted(packed_tokens(lengths, group) for group in pack(lengths, budget))
    assert len(used) < 2 or used[0] + used[1] > budget
