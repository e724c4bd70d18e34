"""Whether a text is a tune in ABC notation, by music21's parser: its header is whole and its bars add up."""

from __future__ import annotations

import re

BARS_AT_LEAST = 3
HEADER = ("X", "M", "L", "K")
NOTES = re.compile(r"[\sA-Ga-gz,'^_=/0-9|\[\]:()<>-]*")
"""What music is written with. Their parser passes over every other word as if it were not there."""

LINES = r"(?:>[^\n]*\n?)+"
ANSWER = re.compile(rf"\*\*(?P<prompt>X:(?s:.*?))\*\*\n\nBefore:\n(?P<before>{LINES})\nAfter:\n(?P<after>{LINES})")


def validity(text: str) -> bool:
    """Whether music21 reads `text`, header and music, as a tune of some bars whose notes fill the metre.

    The first bar may be shorter (an upbeat), and the last (where generation stopped).
    """
    from music21 import converter
    from music21.exceptions21 import Music21Exception
    from music21.stream import Measure

    fields = re.findall(r"^([A-Z]):", text, re.MULTILINE)
    if not set(HEADER) <= set(fields) or not NOTES.fullmatch(music_of(text)):
        return False
    try:
        score = converter.parse(text, format="abc")
    except (Music21Exception, ValueError, IndexError):
        return False
    bars = list(score.recurse().getElementsByClass(Measure))
    # The parser makes several bars of one that is too long.
    if len(bars) < BARS_AT_LEAST or len(bars) != bars_written(text):
        return False
    filled = [bar.duration.quarterLength for bar in bars]
    whole = bars[0].barDuration.quarterLength
    return all(length == whole for length in filled[1:-1]) and filled[0] <= whole and filled[-1] <= whole


def bars_written(text: str) -> int:
    return sum(bool(bar.strip()) for bar in re.split(r"[\[\]|:]+", music_of(text)))


def music_of(text: str) -> str:
    """The lines that are no fields of the header."""
    return "\n".join(line for line in text.splitlines() if not re.match("[A-Za-z]:", line))


def tunes_of(card: str) -> list[tuple[str, str]]:
    """The tunes that a model card shows, (before, after) training, each with the header that it was prompted with."""
    return [
        (tune(told["prompt"], told["before"]), tune(told["prompt"], told["after"])) for told in ANSWER.finditer(card)
    ]


def tune(prompt: str, quoted: str) -> str:
    lines = [line.removeprefix(">").removeprefix(" ") for line in quoted.strip().splitlines()]
    return f"{prompt.strip()}\n" + "\n".join(lines) + "\n"
