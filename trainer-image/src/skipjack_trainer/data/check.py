"""Every row is read and checked before the first is tokenised: a broken line far down is told in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from skipjack.api.v1alpha1.finetunejob import RowFormat

from ..errors import DataInvalid
from .formats import Chat, Document, RowProblem, interpret, recognise
from .read import Broken, Row, read
from .sources import Source, Sources

SHOWN = 10
PROBLEM_CHARACTERS_MAX = 300
"""So that ten of them fit into a termination message."""


class Problems:
    """The first bad rows over all files, and how many there are."""

    def __init__(self) -> None:
        self.first: list[Broken] = []
        self.count = 0

    def add(self, problem: Broken) -> None:
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(problem)

    def refuse(self) -> None:
        """Raises DataInvalid when there are any."""
        if not self.count:
            return
        shown = "\n".join(f"{broken.place}: {broken.problem}"[:PROBLEM_CHARACTERS_MAX] for broken in self.first)
        rows = "1 bad row" if self.count == 1 else f"{self.count} bad rows"
        listed = f" The first {len(self.first)}:" if self.count > len(self.first) else ""
        raise DataInvalid(f"{rows}, nothing was trained.{listed}\n{shown}")


@dataclass(frozen=True, slots=True)
class Checked:
    """A source whose rows all have its layout."""

    source: Source
    layout: RowFormat


def check(sources: Sources) -> tuple[list[Checked], list[Checked]]:
    """(train, validation). Raises DataInvalid with the first ten bad rows over all, or for a source without any row."""
    problems = Problems()
    train, validation = (
        [_checked(source, problems) for source in some] for some in (sources.train, sources.validation)
    )
    problems.refuse()
    for source in (*sources.train, *sources.validation):
        if not any(checked.source is source for checked in (*train, *validation) if checked):
            raise DataInvalid(f"{source.told.uri}: there is not one row in it.")
    return [checked for checked in train if checked], [checked for checked in validation if checked]


def _checked(source: Source, problems: Problems) -> Checked | None:
    """None for a source without rows."""
    layout = source.told.format
    seen = False
    for row in rows_of(source):
        if isinstance(row, Broken):
            problems.add(row)
            continue
        seen = True
        layout = layout or recognise(set(row.values), row.place)
        try:
            interpret(layout, row.values)
        except RowProblem as problem:
            problems.add(Broken(row.place, str(problem)))
    return Checked(source, layout) if seen and layout else None


def rows_of(source: Source) -> Iterator[Row | Broken]:
    for file in source.files:
        yield from read(file.path, file.name)


def interpreted(sources: Iterable[Checked]) -> Iterator[tuple[str, Chat | Document]]:
    """(place, row) of each row of checked sources. Raises DataInvalid when a file has changed since."""
    for checked in sources:
        for row in rows_of(checked.source):
            if isinstance(row, Broken):
                raise DataInvalid(f"{row.place}: {row.problem}: the file was changed while it was read.")
            yield row.place, interpret(checked.layout, row.values)
