"""A source's own names for columns → those that layouts have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DataInvalid
from .read import Row

SHOWN = 20


def renamed(values: dict[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """A row with each of `columns` (our field → its path in the row) under our name, and none of them under its own."""
    if not columns:
        return values
    taken = {field: at for field, path in columns.items() if (at := _at(values, path)) is not None}
    used = {_column(values, path) for path in columns.values()}
    return {name: value for name, value in values.items() if name not in used} | {f: v for f, (v,) in taken.items()}


class Named:
    """Follows one source's rows, to tell a name that none of them has."""

    def __init__(self, columns: Mapping[str, str]) -> None:
        self.columns = columns
        self.missing = dict(columns)
        self.known: dict[str, None] = {}

    def see(self, row: Row) -> dict[str, Any]:
        """The row's values by our names."""
        if self.missing:
            if len(self.known) <= SHOWN:
                self.known |= dict.fromkeys(_paths(row.values))
            self.missing = {field: path for field, path in self.missing.items() if _at(row.values, path) is None}
        return renamed(row.values, self.columns)

    def refuse_missing(self, where: str) -> None:
        """Raises DataInvalid when a name was in no row so far."""
        for field, path in self.missing.items():
            there = ", ".join(list(self.known)[:SHOWN]) + (", …" if len(self.known) > SHOWN else "")
            raise DataInvalid(f"{where}: columns.{field}: expected a column {path}, there are: {there or '(none)'}.")


def _column(values: Mapping[str, Any], path: str) -> str:
    """The column that a path begins in: one of just that name, dots and all, goes before."""
    return path if path in values else path.partition(".")[0]


def _at(values: Mapping[str, Any], path: str) -> tuple[Any] | None:
    """(what is there,), which may be null; None where there is no such place."""
    if path in values:
        return (values[path],)
    at: Any = values
    for key in path.split("."):
        if not isinstance(at, dict) or key not in at:
            return None
        at = at[key]
    return (at,)


def _paths(values: Mapping[str, Any]) -> list[str]:
    """Columns, and what objects in them hold."""
    return [
        path
        for name, value in values.items()
        for path in ([f"{name}.{key}" for key in value] if isinstance(value, dict) and value else [name])
    ]
