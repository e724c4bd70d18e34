"""Pictures with captions: an image folder's metadata.jsonl or metadata.csv, or a table that holds the pictures themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL.Image import Image

from skipjack.api.v1alpha1.dataset import RowFormat, Task

from ..images import ImageProblem, open_image
from .base import Layout, RowProblem, found, some_words

CAPTIONS = ("text", "caption", "prompt")
IMAGES = ("file_name", "image")
"""A file's name beside the table, as the hub's image folders have it; or that, or the hub's own {bytes, path}."""


@dataclass(frozen=True, slots=True)
class Picture:
    """`image`: a file's name, or its content; once opened, the picture itself."""

    image: str | bytes | Image
    caption: str
    field: str
    """The column that the picture stands in."""


def _picture(values: dict[str, Any]) -> Picture:
    caption, field = _only(values, CAPTIONS), _only(values, IMAGES)
    words = some_words(values, caption)
    image = values[field]
    if isinstance(image, dict):
        image = image.get("bytes") or image.get("path")
    if not isinstance(image, str | bytes) or not image:
        raise RowProblem(f"{field}: expected a file's name, or bytes and path, found {found(values[field])}")
    return Picture(image, words, field)


def _only(values: dict[str, Any], columns: tuple[str, ...]) -> str:
    """The one of `columns` that a row has. Raises RowProblem."""
    there = [column for column in columns if values.get(column) is not None]
    if len(there) != 1:
        has = f"found {' and '.join(there)}" if there else "found none of them"
        raise RowProblem(f"{there[0] if there else columns[0]}: expected one of {', '.join(columns)}, {has}")
    return there[0]


def _opened(row: Picture, folder: Path) -> Picture:
    assert not isinstance(row.image, Image), "opened once"
    try:
        return Picture(open_image(_file(row.image, folder)), row.caption, row.field)
    except ImageProblem as problem:
        raise RowProblem(f"{row.field}: {problem}") from problem


def _file(image: str | bytes, folder: Path) -> Path | bytes:
    """Raises ImageProblem."""
    if isinstance(image, bytes):
        return image
    try:
        file = (folder / image).resolve()
        is_there = file.is_file()
    except (OSError, RuntimeError, ValueError):  # a name that no file can have, a link to itself
        file, is_there = folder.resolve(), False
    if not file.is_relative_to(folder.resolve()):
        raise ImageProblem(f"{image} leads out of the folder: name a file beside or below the table")
    if not is_there:
        raise ImageProblem(f"there is no file {image} beside the table: bring it, or correct the name")
    return file


PICTURES: dict[RowFormat, Layout] = {
    RowFormat.IMAGE_CAPTION: Layout(
        frozenset(), Task.TEXT_TO_IMAGE, _picture, one_of=(IMAGES, CAPTIONS), opened=_opened
    )
}
