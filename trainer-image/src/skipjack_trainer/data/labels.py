"""The labels of a classification: those that the spec lists, or all that the training rows have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .formats import RowProblem

LABELS_SHOWN = 20


class Labels:
    """Collects labels, or, where they are known, refuses others."""

    def __init__(self, known: Sequence[str] | None) -> None:
        self.known = known
        self.seen: dict[str, None] = {}

    def see(self, labels: Iterable[tuple[str, str]]) -> None:
        """(field, label) of one row. Raises RowProblem for one that is not known."""
        for field, label in labels:
            if self.known is None:
                self.seen.setdefault(label)
            elif label not in self.known:
                shown = ", ".join(self.known[:LABELS_SHOWN]) + (", …" if len(self.known) > LABELS_SHOWN else "")
                raise RowProblem(f"{field}: expected one of {shown}, found {label}")

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the spec, else of the alphabet; numbers by their size."""
        if self.known is not None:
            return tuple(self.known)
        numbers = all(label.isdecimal() for label in self.seen)
        return tuple(sorted(self.seen, key=int if numbers else None))

    def known_from_now_on(self) -> Labels:
        return Labels(self.names if self.seen else self.known)
