"""The judge of generated tunes passes those that keep the rules and no others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.support.abc_notation import tunes_of, validity

HEADER = "X:1\nT:The Old Mill\nM:4/4\nL:1/8\nK:G\n"
WHOLE = "G2 B2 d2 B2 | c2 A2 F2 A2 | G4 G4 |]\n"
MUSIC = Path(__file__).parents[3] / "examples/music"


@pytest.mark.parametrize(
    "music",
    [
        WHOLE,
        "GA Bc d2 B2|c>A F<A G4|G8|]",
        "D2 | G2 B2 d2 B2 | c2 A2 F2 A2 | G4 G2 |]",
        "|: G2 B2 d2 B2 | ^c2 z2 F,2 A2 | G4 G4 :|",
        "G2 B2 d2 B2 | c2 A2 F2 A2 | G4",
    ],
)
def test_a_tune_whose_bars_add_up_is_valid(music: str) -> None:
    assert validity(HEADER + music)


@pytest.mark.parametrize(
    "music",
    [
        "G2 B2 d2 B2 | c2 A2 F2 | G4 G4 |]",
        "G2 B2 d2 B2 | c2 A2 F2 A2 B2 | G4 G4 |]",
        "G2 B2 d2 B2 d2 | c2 A2 F2 A2 | G4 G4 |]",
        "G2 B2 d2 B2 | c2 A2 F2 A2 | G4 G4 G2 |]",
        "G8 | G8 |]",
        "Here is a lovely reel in G for you.",
        WHOLE + "\nI hope that you like it.",
        "",
    ],
)
def test_a_tune_whose_bars_do_not_add_up_or_that_is_none_is_not(music: str) -> None:
    assert not validity(HEADER + music)


@pytest.mark.parametrize("field", "XMLK")
def test_a_tune_without_a_field_that_it_needs_is_not_valid(field: str) -> None:
    header = "".join(line + "\n" for line in HEADER.splitlines() if not line.startswith(field))
    assert not validity(header + WHOLE)


def test_the_examples_tunes_are_valid() -> None:
    rows = [json.loads(line) for line in (MUSIC / "validation.jsonl").read_text().splitlines()]
    assert all(validity(row["prompt"] + row["completion"]) for row in rows)


def test_tunes_are_found_in_a_card_with_the_headers_that_were_asked_for() -> None:
    card = (
        f"## The same prompts\n**{HEADER}**\n\nBefore:\n> a tune?\n> no\n\nAfter:\n> {WHOLE}\n"
        f"**{HEADER}**\n\nBefore:\n> (nothing)\n\nAfter:\n> G8 | G8\n"
    )
    assert tunes_of(card) == [
        (f"{HEADER}a tune?\nno\n", HEADER + WHOLE.strip() + "\n"),
        (f"{HEADER}(nothing)\n", f"{HEADER}G8 | G8\n"),
    ]
