"""The labels of a classification: those that the spec lists, or all that the training rows have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .formats import RowProblem

LABELS_SHOWN = 20


class Labels:
    """Counts labels, or, where they are known, refuses others."""

    def __init__(self, known: Sequence[str] | None) -> None:
        self.known = known
        self.counts: dict[str, int] = dict.fromkeys(known or (), 0)

    def see(
        self, labels: Iterable[tuple[str, str]], implied: Callable[[str], Iterable[str]] = lambda label: ()
    ) -> None:
        """(field, label) of one row, and which labels there are besides. Raises RowProblem for one that is not known."""
        for item, (field, label) in enumerate(labels):
            if label not in self.counts:
                if self.known is not None:
                    raise RowProblem(f"{field}: expected one of {shown(self.known)}, found {label}", item)
                self.counts |= {label: 0, **{other: self.counts.get(other, 0) for other in implied(label)}}
            self.counts[label] += 1

    @property
    def names(self) -> tuple[str, ...]:
        """In the order of the spec, else of the alphabet; numbers by their size."""
        if self.known is not None:
            return tuple(self.known)
        numbers = all(label.isdecimal() for label in self.counts)
        return tuple(sorted(self.counts, key=int if numbers else None))

    def known_from_now_on(self) -> Labels:
        return Labels(self.names if self.counts else self.known)


def shown(labels: Sequence[str]) -> str:
    """As messages list them."""
    return ", ".join(labels[:LABELS_SHOWN]) + (", …" if len(labels) > LABELS_SHOWN else "")
