"""Writes examples/domain/{train,validation}.txt: pages of a handbook for keepers of tide organs, an instrument that never was.

Plain text, a paragraph each: its words and its turns of phrase are those of a trade that no model has read of.
"""

from __future__ import annotations

import random
from pathlib import Path

PARTS = {
    "the sluice reed": ("brack lacquer", "the mouth of the lower pipe", "a thin whistle before the bore"),
    "the gannet valve": ("whale tallow", "the neck of the wind chest", "a knock at slack water"),
    "the drowned stop": ("brine oil", "the foot of the seventh rank", "a hum that outlasts the ebb"),
    "the kelp bellows": ("tarred flax", "the back of the keeper's loft", "a sigh between two swells"),
    "the moon lever": ("graphite wax", "the rail above the manual", "a pitch that climbs with the spring tide"),
    "the silt trap": ("clean gravel", "the end of the intake", "a rattle on the second octave"),
}
TIDES = ["neap ebb", "spring flood", "slack water", "dead low", "rising bore"]
STATIONS = ["Corran Ness", "Hollow Point", "Marrow Sound", "Windle Bar", "Saint Maren"]
OPENINGS = [
    "At {tide} the keeper of {station} looks first to {part}.",
    "No organ at {station} is played in {tide} before {part} has been seen to.",
    "The handbook of {station} has one rule for {tide}: begin with {part}.",
]
MIDDLES = [
    "It sits at {place}, and it is dressed with {dressing}, never with soap.",
    "You will find it at {place}; dress it with {dressing}, and never with soap.",
]
SIGNS = [
    "When it has gone dry you hear {sign}.",
    "A dry one is known by {sign}.",
]
ENDINGS = [
    "Then the ranks are opened from the lowest pipe upward, and the hour is written in the tide book.",
    "Only then are the ranks opened, from the lowest pipe upward, and the hour goes into the tide book.",
]
TRAIN, HELD_OUT = 120, 16


def page(draw: random.Random) -> str:
    part = draw.choice(sorted(PARTS))
    dressing, place, sign = PARTS[part]
    sentences = [draw.choice(kind) for kind in (OPENINGS, MIDDLES, SIGNS, ENDINGS)]
    told = {"tide": draw.choice(TIDES), "station": draw.choice(STATIONS), "part": part}
    return " ".join(sentences).format(dressing=dressing, place=place, sign=sign, **told)


def main() -> None:
    folder = Path(__file__).parent / "domain"
    folder.mkdir(exist_ok=True)
    draw = random.Random(5)
    pages: list[str] = []
    while len(pages) < TRAIN + HELD_OUT:
        if (drawn := page(draw)) not in pages:
            pages.append(drawn)
    (folder / "train.txt").write_text("\n\n".join(pages[:TRAIN]) + "\n")
    (folder / "validation.txt").write_text("\n\n".join(pages[TRAIN:]) + "\n")


if __name__ == "__main__":
    main()
