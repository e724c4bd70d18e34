"""JSON as its standard has it (RFC 8259), which Python's own reader goes beyond; and lists too long for memory, an item at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

ITEM_MAX = 2**24
"""Characters of one item."""
FIRST_READ = 2**20
"""Characters."""


def parse_json(text: str) -> Any:
    """As json.loads, for what JSON allows alone. Raises ValueError; a JSONDecodeError where the place is known."""
    return _refusing_halves(_loaded(text), text)


def _loaded(text: str) -> Any:
    try:
        return DECODER.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refusing_halves(values: Any, text: str) -> Any:
    if "\\u" in text:
        try:
            json.dumps(values, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"half of a surrogate pair (\\u{ord(error.object[error.start]):04x})") from None
    return values


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON value")


DECODER = json.JSONDecoder(parse_constant=_no_number)


class NoList(ValueError):
    """A whole text that is JSON, but no list."""

    def __init__(self, value: Any) -> None:
        super().__init__("no list")
        self.value = value


class NotJson(ValueError):
    """What is wrong, and in which line and column, from 1."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(problem)
        self.problem, self.line, self.column = problem, line, column


def items_of(source: TextIO) -> Iterator[Any]:
    """The items of the list that a text is. Raises NoList, NotJson where the place is known, else ValueError."""
    text = _Text(source)
    if text.next() != "[":
        value = text.value()
        text.end()
        raise NoList(value)
    text.take("[")
    if text.next() == "]":
        text.take("]")
    else:
        yield text.value()
        while text.next() == ",":
            text.take(",")
            yield text.value()
        text.take("]")
    text.end()


class _Text:
    """A text of which what was read is forgotten."""

    def __init__(self, source: TextIO) -> None:
        self.source = source
        self.known, self.at = "", 0
        self.lines, self.column = 0, 0
        """Before what is known."""

    def next(self) -> str:
        """The character that comes after white space, '' at the end."""
        while True:
            while self.at < len(self.known) and self.known[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.known) or not self._read():
                return self.known[self.at : self.at + 1]

    def take(self, expected: str) -> None:
        if self.next() != expected:
            wanted = "',' delimiter" if expected == "]" else f"'{expected}'"
            raise self._error(json.JSONDecodeError(f"Expecting {wanted}", self.known, self.at))
        self.at += 1

    def value(self) -> Any:
        self.next()
        while True:
            try:
                value, end = DECODER.raw_decode(self.known, self.at)
            except json.JSONDecodeError as error:
                # What is cut here may be whole with what comes.
                told = self._error(error)
                if len(self.known) - self.at > ITEM_MAX or not self._read():
                    raise told from error
            except RecursionError:
                raise ValueError("it is nested too deeply") from None
            else:
                self.at, text = end, self.known[self.at : end]
                return _refusing_halves(value, text)

    def end(self) -> None:
        if self.next():
            raise self._error(json.JSONDecodeError("Extra data", self.known, self.at))

    def _read(self) -> bool:
        """Twice what there is of an item: looking at it again and again then takes no longer than twice."""
        rest = len(self.known) - self.at
        more = self.source.read(max(FIRST_READ, rest))
        gone = self.known[: self.at]
        if newlines := gone.count("\n"):
            self.lines, self.column = self.lines + newlines, len(gone) - gone.rindex("\n") - 1
        else:
            self.column += len(gone)
        self.known, self.at = self.known[self.at :] + more, 0
        return bool(more)

    def _error(self, error: json.JSONDecodeError) -> NotJson:
        column = error.colno + (self.column if error.lineno == 1 else 0)
        return NotJson(error.msg, self.lines + error.lineno, column)
