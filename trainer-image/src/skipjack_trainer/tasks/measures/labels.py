"""Measures of labels against labels."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def accuracy(expected: Sequence[object], said: Sequence[object]) -> float:
    """Share of what was said rightly."""
    return sum(one == other for one, other in zip(expected, said, strict=True)) / len(expected)


def micro_f1(expected: Sequence[Collection[int]], said: Sequence[Collection[int]]) -> float:
    """2·TP / (2·TP + FP + FN) over all (row, class); 0 where no row has a class and none was said to."""
    right = sum(len(set(one) & set(other)) for one, other in zip(expected, said, strict=True))
    told = sum(map(len, expected)) + sum(map(len, said))
    return 2 * right / told if told else 0.0


def macro_f1(
    expected: Sequence[Collection[int]], said: Sequence[Collection[int]], classes: Iterable[int] | None = None
) -> float:
    """The mean of each class's F1; of those that a row has or was said to have, if `classes` are not named."""
    if classes is None:
        classes = {number for rows in (expected, said) for row in rows for number in row}
    each = [
        micro_f1([{number} & set(row) for row in expected], [{number} & set(row) for row in said]) for number in classes
    ]
    return sum(each) / len(each)


def entity_f1(expected: list[list[str]], said: list[list[str]]) -> float:
    """Of entities in IOB2, micro, by seqeval's strict mode: what doesn't begin with B- is none. 0 where there are none."""
    from seqeval.metrics import f1_score
    from seqeval.scheme import IOB2

    return float(f1_score(expected, said, mode="strict", scheme=IOB2, zero_division=0))
