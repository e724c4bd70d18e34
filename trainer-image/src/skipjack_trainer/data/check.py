"""Every row is read and checked before the first is tokenised: a broken line far down is told in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack.resolve import ResolvedSpec

from ..errors import DataInvalid
from .columns import Named, renamed
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
    rows: int
    sample: int | None = None
    """How many of them are taken, where not all are."""


@dataclass(frozen=True, slots=True)
class Checked:
    """Sources without one bad row."""

    train: tuple[CheckedSource, ...]
    validation: tuple[CheckedSource, ...]
    labels: tuple[str, ...]
    """Of a task that has them."""
    label_counts: Mapping[str, int]
    """How often each is in train."""

    @property
    def layouts(self) -> dict[str, RowFormat]:
        """Of each source, by its title."""
        return {checked.source.told.title: checked.layout for checked in (*self.train, *self.validation)}


def check(spec: ResolvedSpec, sources: Sources) -> Checked:
    """Raises DataInvalid with the first ten bad rows over all, or for a source without any row."""
    problems, labels = Problems(), Labels(spec.dataset.labels)
    train = [_checked(spec, source, labels, problems) for source in sources.train]
    counts, labels = labels.counts, labels.known_from_now_on()
    validation = [_checked(spec, source, labels, problems) for source in sources.validation]
    problems.refuse()
    for source, checked in zip((*sources.train, *sources.validation), (*train, *validation), strict=True):
        if checked is None:
            raise DataInvalid(f"{source.told.title}: there is not one row in it.")
    return Checked(tuple(filter(None, train)), tuple(filter(None, validation)), labels.names, counts)


def _checked(spec: ResolvedSpec, source: Source, labels: Labels, problems: Problems) -> CheckedSource | None:
    """None for a source without rows. Raises DataInvalid, ConfigurationInvalid where its columns are none of those expected."""
    layout, named = source.told.format, Named(source.told.columns)
    rows = 0
    for folder, row in rows_of(source):
        if isinstance(row, Broken):
            problems.add(row)
            continue
        values = named.see(row)
        layout = layout or _layout_of(values, row, named, spec.task)
        rows += 1
        kind = FORMATS[layout]
        try:
            labels.see(kind.labels_of(whole(layout, values, folder, spec.dataset.labels)), kind.implied)
        except RowProblem as problem:
            problems.add(Broken(row.place_of(problem.item), str(problem)))
    if rows:
        named.refuse_missing(source.told.title)
    return CheckedSource(source, layout, rows) if rows and layout else None


def _layout_of(values: dict[str, Any], row: Row, named: Named, task: Task | None) -> RowFormat:
    """By a source's first row. Where that fits nothing, a column that it hasn't is the likelier fault."""
    try:
        return recognise(set(values), row.place, task)
    except DataInvalid:
        named.refuse_missing(row.place)
        raise


def rows_of(source: Source) -> Iterator[tuple[Path, Row | Broken]]:
    """Each row, after the folder that its file lies in."""
    for file in source.files:
        with file.opened() as place:
            for row in read(place, file.name):
                yield place.parent, row


def whole(layout: RowFormat, values: dict[str, Any], folder: Path, names: Sequence[str] | None) -> Any:
    """A row as its writer takes it, with the files of `folder` that it names. Raises RowProblem."""
    return FORMATS[layout].opened(interpret(layout, values, names), folder)


def interpreted(
    checked: CheckedSource, rows: Iterable[tuple[Path, Row | Broken]], names: Sequence[str] | None = None
) -> Iterator[tuple[str, Any]]:
    """(place, row) of each of a checked source's `rows`; `names` are the labels that the spec lists. Raises DataInvalid when a file has
    changed since."""
    for folder, row in rows:
        if isinstance(row, Broken):
            raise DataInvalid(f"{row.place}: {row.problem}: the file was changed while it was read.")
        values = renamed(row.values, checked.source.told.columns)
        yield row.place, whole(checked.layout, values, folder, names)
