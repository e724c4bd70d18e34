"""Writes examples/music/{train,validation}.jsonl: tunes in ABC notation that keep its rules (abcnotation.com/wiki/abc:standard:v2.1).

Each prompt is a tune's header (number, title, metre, length of a note, key), each completion its bars: they add up to the metre,
their notes are of the key's scale, and a tune ends on its tonic.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

SCALES = {"C": "CDEFGABc", "G": "GABcdefg", "D": "DEFGABcd", "Am": "ABcdefga", "Em": "EFGABcde", "Dm": "DEFGABcd"}
"""Eight notes from the tonic up, as they are written in that key."""
RHYTHMS = {
    "4/4": ([4, 4], [4, 2, 2], [4, 1, 1, 2]),
    "3/4": ([2, 4], [2, 2, 2], [2, 1, 1, 2]),
    "6/8": ([3, 3], [3, 2, 1], [3, 1, 1, 1]),
    "2/4": ([1, 1, 2], [1, 1, 1, 1]),
}
"""How a bar may be divided, in eighths; a tune ends with its metre's first. Each dance has a first beat of its own length."""
KINDS = {"4/4": "Reel", "3/4": "Waltz", "6/8": "Jig", "2/4": "Polka"}
PLACES = ["Corran", "Gull", "Hollow", "Marrow", "Tammas", "Petrel", "Maren", "Windle", "Skerry", "Harbour"]
BARS = 4
TRAIN, HELD_OUT = 240, 16


def header(number: int, place: str, metre: str, key: str) -> str:
    return f"X:{number}\nT:{place} {KINDS[metre]}\nM:{metre}\nL:1/8\nK:{key}\n"


def melody(metre: str, key: str, draw: random.Random) -> str:
    """Bars of steps and small leaps; the first rhythm comes back in the third bar, the last note is the tonic."""
    scale, rhythms = SCALES[key], RHYTHMS[metre]
    first, second = draw.sample(rhythms, 2)
    at, bars = draw.choice([0, 2, 4]), []
    for rhythm in (first, second, first):
        notes = []
        for length in rhythm:
            notes.append(written(scale[at], length))
            at = min(max(at + draw.choice([-2, -1, -1, 1, 1, 2]), 0), len(scale) - 1)
        bars.append(" ".join(notes))
    *leading, last = rhythms[0]
    bars.append(" ".join([*(written(scale[1], length) for length in leading), written(scale[0], last)]))
    return " | ".join(bars) + " |]\n"


def written(note: str, eighths: int) -> str:
    return note if eighths == 1 else f"{note}{eighths}"


def main() -> None:
    folder = Path(__file__).parent / "music"
    folder.mkdir(exist_ok=True)
    draw = random.Random(11)
    rows = []
    for number in range(1, TRAIN + HELD_OUT + 1):
        metre, key = draw.choice(sorted(RHYTHMS)), draw.choice(sorted(SCALES))
        tune = {"prompt": header(number, draw.choice(PLACES), metre, key), "completion": melody(metre, key, draw)}
        rows.append(json.dumps(tune) + "\n")
    (folder / "train.jsonl").write_text("".join(rows[:TRAIN]))
    (folder / "validation.jsonl").write_text("".join(rows[TRAIN:]))


if __name__ == "__main__":
    main()
