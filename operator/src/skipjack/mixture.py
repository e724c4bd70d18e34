"""How many rows of each source an epoch has. Pure, and in whole numbers: what is counted over epochs never drifts."""

from __future__ import annotations

import math
from dataclasses import dataclass

UNIT = 1_000_000
"""Weights are counted in millionths."""


@dataclass(frozen=True, slots=True)
class Share:
    """One source of a mixture."""

    rows: int
    weight: float = 1.0
    """How often each of its rows is seen in an epoch."""

    def passes_before(self, epoch: int) -> tuple[int, int]:
        """(whole passes over the rows, millionths of one more) in the epochs before `epoch`."""
        return divmod(epoch * round(self.weight * UNIT), UNIT)

    def seen_before(self, epoch: int) -> int:
        """Rows seen in the epochs before `epoch`: weight times rows of them, rounded down."""
        whole, part = self.passes_before(epoch)
        return whole * self.rows + part * self.rows // UNIT


@dataclass(frozen=True, slots=True)
class Mixture:
    """The sources of a data set, in their order."""

    shares: tuple[Share, ...]

    @classmethod
    def plain(cls, rows: int) -> Mixture:
        """Every row once an epoch."""
        return cls((Share(rows),))

    @property
    def epoch_rows(self) -> float:
        """Rows of an epoch, in the mean over many."""
        return sum(share.rows * share.weight for share in self.shares)

    def seen_before(self, epoch: int) -> int:
        """Rows seen in the epochs before `epoch`."""
        return sum(share.seen_before(epoch) for share in self.shares)

    def seen_in(self, epochs: float) -> int:
        """Rows seen in so many epochs, which need be no whole number."""
        whole = int(epochs)
        before, rows = self.seen_before(whole), self.seen_before(whole + 1) - self.seen_before(whole)
        return before + math.ceil(rows * epochs - rows * whole)

    def epoch_of(self, position: int) -> tuple[int, int]:
        """(epoch, place in it) of the row that is seen as number `position`, from 0."""
        epoch = int(position / self.epoch_rows)
        while self.seen_before(epoch) > position:
            epoch -= 1
        while self.seen_before(epoch + 1) <= position:
            epoch += 1
        return epoch, position - self.seen_before(epoch)
