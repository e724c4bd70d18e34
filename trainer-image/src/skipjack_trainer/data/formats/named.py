"""Labels as rows have them: by name, or by their place in the list of the spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .base import RowProblem, found, json_if_text


def label(value: Any, field: str, item: int | None = None) -> str:
    """A label as text, which a number is too. Raises RowProblem."""
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise RowProblem(f"{field}: expected a label's name or number, found {found(value)}", item)


def labels(values: dict[str, Any], field: str) -> tuple[str, ...]:
    """Those in a list. Raises RowProblem."""
    told = json_if_text(values.get(field), field)
    if not isinstance(told, list):
        raise RowProblem(f"{field}: expected a list of labels, found {found(told)}")
    return tuple(label(value, f"{field}[{index}]", index) for index, value in enumerate(told))


def name_of(label: str, names: Sequence[str] | None) -> str:
    """A number is a place in `names`, unless they are numbers themselves."""
    if names is None or label in names or not label.isdecimal() or int(label) >= len(names):
        return label
    return label if any(name.isdecimal() for name in names) else names[int(label)]
