"""Every row is read and checked before the first is tokenised: a broken line far down is told in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat
from skipjack.resolve import ResolvedSpec

from ..errors import DataInvalid
from .formats import FORMATS, RowProblem, interpret, recognise
from .labels import Labels
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
class CheckedSource:
    """A source whose rows all have its layout."""

    source: Source
    layout: RowFormat


@dataclass(frozen=True, slots=True)
class Checked:
    """Sources without one bad row."""

    train: tuple[CheckedSource, ...]
    validation: tuple[CheckedSource, ...]
    labels: tuple[str, ...]
    """Of a task that has them."""

    @property
    def layouts(self) -> dict[str, RowFormat]:
        """Of each source, by its URI."""
        return {checked.source.told.uri: checked.layout for checked in (*self.train, *self.validation)}


def check(spec: ResolvedSpec, sources: Sources) -> Checked:
    """Raises DataInvalid with the first ten bad rows over all, or for a source without any row."""
    problems, labels = Problems(), Labels(spec.dataset.labels)
    train = [_checked(spec, source, labels, problems) for source in sources.train]
    labels = labels.known_from_now_on()
    validation = [_checked(spec, source, labels, problems) for source in sources.validation]
    problems.refuse()
    for source, checked in zip((*sources.train, *sources.validation), (*train, *validation), strict=True):
        if checked is None:
            raise DataInvalid(f"{source.told.uri}: there is not one row in it.")
    return Checked(tuple(filter(None, train)), tuple(filter(None, validation)), labels.names)


def _checked(spec: ResolvedSpec, source: Source, labels: Labels, problems: Problems) -> CheckedSource | None:
    """None for a source without rows."""
    layout = source.told.format
    seen = False
    for folder, row in rows_of(source):
        if isinstance(row, Broken):
            problems.add(row)
            continue
        seen = True
        layout = layout or recognise(set(row.values), row.place, spec.task)
        try:
            labels.see(FORMATS[layout].labels_of(_whole(layout, row, folder)))
        except RowProblem as problem:
            problems.add(Broken(row.place, str(problem)))
    return CheckedSource(source, layout) if seen and layout else None


def rows_of(source: Source) -> Iterator[tuple[Path, Row | Broken]]:
    """Each row, after the folder that its file lies in."""
    for file in source.files:
        for row in read(file.path, file.name):
            yield file.path.parent, row


def _whole(layout: RowFormat, row: Row, folder: Path) -> Any:
    """The row as its writer takes it. Raises RowProblem."""
    return FORMATS[layout].opened(interpret(layout, row.values), folder)


def interpreted(sources: Iterable[CheckedSource]) -> Iterator[tuple[str, Any]]:
    """(place, row) of each row of checked sources. Raises DataInvalid when a file has changed since."""
    for checked in sources:
        for folder, row in rows_of(checked.source):
            if isinstance(row, Broken):
                raise DataInvalid(f"{row.place}: {row.problem}: the file was changed while it was read.")
            yield row.place, _whole(checked.layout, row, folder)
