"""What each of several sources gives to an epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from skipjack.mixture import Mixture, Share
from skipjack.resolve import ResolvedSpec

from ..errors import DataInvalid
from .example import Examples

TOLD = 8
"""Sources whose shares are among the facts: a status holds few. The log tells all."""


@dataclass(frozen=True, slots=True)
class Part:
    """One source's part of an epoch, in the mean over many."""

    title: str
    weight: float
    rows: int
    """Each counted once."""
    epoch_rows: int
    epoch_tokens: int
    share: float
    """Of the tokens of an epoch."""

    def __str__(self) -> str:
        return (
            f"{self.title}: {self.rows} rows, weight {self.weight:g}: {self.epoch_rows} rows and {self.epoch_tokens} tokens an epoch, "
            f"{self.share:.1%} of all"
        )


def mixture_of(examples: Examples, spec: ResolvedSpec) -> Mixture | None:
    """How often the training examples are seen; None where each is seen once an epoch."""
    sources = spec.dataset.train
    if all(source.weight == 1 for source in sources):
        return None
    rows, _ = examples.of_sources()
    return Mixture(tuple(Share(int(count), source.weight) for count, source in zip(rows, sources, strict=True)))


def refuse_unseen(mixture: Mixture | None, spec: ResolvedSpec) -> None:
    """Raises DataInvalid for a source so small, of so little weight, that no row of it would ever be seen."""
    epochs = spec.hyperparameters.epochs
    if mixture is None or epochs is None:
        return
    for number, share in enumerate(mixture.shares):
        if share.rows and not Mixture((share,)).seen_in(epochs):
            raise DataInvalid(
                f"dataset.train[{number}].weight: {share.weight:g} of {share.rows} rows in {epochs:g} epochs is not one row: "
                "raise it, or leave the source out."
            )


def parts_of(examples: Examples, spec: ResolvedSpec) -> tuple[Part, ...]:
    """One for each source; none where a single one is seen once an epoch."""
    sources = spec.dataset.train
    if len(sources) == 1 and sources[0].weight == 1:
        return ()
    rows, tokens_once = examples.of_sources()
    weights = np.array([source.weight for source in sources])
    tokens = tokens_once * weights
    return tuple(
        Part(
            source.title,
            source.weight,
            int(rows[n]),
            round(rows[n] * weights[n]),
            round(tokens[n]),
            tokens[n] / tokens.sum(),
        )
        for n, source in enumerate(sources)
    )


def facts_of(parts: tuple[Part, ...]) -> dict[str, int]:
    """As the status has them."""
    return {
        f"train[{number}].{what}": value
        for number, part in enumerate(parts[:TOLD])
        for what, value in (("rows", part.rows), ("epochRows", part.epoch_rows), ("epochTokens", part.epoch_tokens))
    }
