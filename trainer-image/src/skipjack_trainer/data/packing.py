"""One step's examples → micro-batches within a budget of tokens. The same for every number of ranks."""

from __future__ import annotations

from collections.abc import Sequence


def pack(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Positions of `lengths`, first-fit decreasing: each group's lengths add up to at most the budget (a longer one stands alone)."""
    groups: list[list[int]] = []
    free: list[int] = []
    for position in sorted(range(len(lengths)), key=lambda p: (-lengths[p], p)):
        length = lengths[position]
        fit = next((g for g, room in enumerate(free) if room >= length), None)
        if fit is None:
            groups.append([position])
            free.append(budget_tokens - length)
        else:
            groups[fit].append(position)
            free[fit] -= length
    return groups


def pad(lengths: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Positions of `lengths`, longest first: each group's rows times its longest is at most the budget (a longer one stands alone)."""
    groups: list[list[int]] = []
    for position in sorted(range(len(lengths)), key=lambda p: (-lengths[p], p)):
        if groups and (len(groups[-1]) + 1) * lengths[groups[-1][0]] <= budget_tokens:
            groups[-1].append(position)
        else:
            groups.append([position])
    return groups
