"""How rows are laid out: recognised by their columns, and read into what the task's writer takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat, Task

from ...errors import ConfigurationInvalid, DataInvalid
from .base import Layout, RowProblem
from .chat import CHATS, Chat
from .classified import CLASSIFIED, Classified
from .document import DOCUMENTS, Document
from .pair import PAIRS, Translation
from .picture import PICTURES, Picture
from .preference import PREFERENCES, Answered, Judged, Pair
from .question import QUESTIONS, Answer, Question
from .tagged import TAGGED, Tagged

FORMATS: dict[RowFormat, Layout] = {
    **CHATS, **DOCUMENTS, **PREFERENCES, **CLASSIFIED, **TAGGED, **PAIRS, **QUESTIONS, **PICTURES,
}  # fmt: skip

BY_COLUMNS = {
    "translation": "a translation holds several languages, each of which could be the source: say which by the source's `columns`, "
    "{source: translation.en, target: translation.de} for example",
}
"""Column → what to do about rows that have it and fit no layout: their direction is never guessed."""

COLUMNS_SHOWN = 20


def recognise(columns: set[str], place: str, task: Task | None = None) -> RowFormat:
    """The layout that has these columns, for `task` if one is named; others may stand beside them.

    Raises DataInvalid or ConfigurationInvalid, with what was seen.
    """
    known = {kind: layout for kind, layout in FORMATS.items() if task in (None, layout.task)}
    fits = {kind: used for kind, layout in known.items() if (used := layout.used(columns)) is not None}
    # Of two layouts one may have all of the other's columns and more: text and label are no plain text.
    closest = [kind for kind, used in fits.items() if not any(used < more for more in fits.values())]
    if len(closest) == 1:
        return closest[0]
    seen = ", ".join(sorted(columns)[:COLUMNS_SHOWN]) + (", …" if len(columns) > COLUMNS_SHOWN else "") or "(none)"
    if (
        not fits
        and task
        and (others := {known.task.value for known in FORMATS.values() if known.used(columns) is not None})
    ):
        raise ConfigurationInvalid(
            f"spec.task is {task.value}, the data is for {' or '.join(sorted(others))} ({place}: columns {seen}): change the task or leave it out."
        )
    if not fits:
        expected = "; ".join(f"{kind.value}: {layout}" for kind, layout in known.items())
        if hints := [hint for column, hint in BY_COLUMNS.items() if column in columns]:
            raise DataInvalid(f"{place}: {hints[0]}.")
        layouts = f"no layout of task {task.value}" if task else "no known layout"
        raise DataInvalid(f"{place}: columns {seen} fit {layouts}. Expected one of: {expected}.")
    names = ", ".join(kind.value for kind in closest)
    raise DataInvalid(f"{place}: columns {seen} fit several layouts ({names}): name one in the source's `format`.")


def task_of(kind: RowFormat) -> Task:
    return FORMATS[kind].task


def interpret(kind: RowFormat, values: dict[str, Any], names: Sequence[str] | None = None) -> Any:
    """One row; `names` are the labels that the spec lists. Raises RowProblem."""
    layout = FORMATS[kind]
    return layout.named(layout.interpret(values), names)


__all__ = [
    "FORMATS",
    "Answer",
    "Answered",
    "Chat",
    "Classified",
    "Document",
    "Judged",
    "Layout",
    "Pair",
    "Picture",
    "Question",
    "RowProblem",
    "Tagged",
    "Translation",
    "interpret",
    "recognise",
    "task_of",
]
