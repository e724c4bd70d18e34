"""Writes examples/tongue/{train,validation}.jsonl: English, and what it is in a harbour's own tongue that never was.

Its words are made up, the describing word follows what it describes, and the verb comes last: no model knows any of it, and every
sentence has one right translation.
"""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

BOATS = {"boat": "belu", "ferry": "feso", "ship": "salo", "raft": "runa", "barge": "baro", "tug": "tigo"}
KINDS = {"red": "rik", "old": "oma", "small": "mini", "green": "gari", "white": "wela"}
DEEDS = {"sails to": "sen", "comes from": "kam", "waits at": "wat", "turns at": "tur", "leaves": "lev"}
PLACES = {"the island": "isol", "the harbour": "hafa", "the light": "luma", "the bridge": "brika", "the town": "tona"}
TRAIN_ROWS = 192
HELD_OUT_ROWS = 24


def main() -> None:
    folder = Path(__file__).parent / "tongue"
    folder.mkdir(exist_ok=True)
    sentences = list(product(KINDS, BOATS, DEEDS, PLACES))
    chosen = random.Random(7).sample(sentences, TRAIN_ROWS + HELD_OUT_ROWS)
    for name, some in (("train", chosen[HELD_OUT_ROWS:]), ("validation", chosen[:HELD_OUT_ROWS])):
        (folder / f"{name}.jsonl").write_text("".join(row(*words) for words in some))


def row(kind: str, boat: str, deed: str, place: str) -> str:
    source = f"The {kind} {boat} {deed} {place}."
    target = f"{BOATS[boat].capitalize()} {KINDS[kind]} {PLACES[place]} {DEEDS[deed]}."
    return json.dumps({"source": source, "target": target}) + "\n"


if __name__ == "__main__":
    main()
