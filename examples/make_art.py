"""Writes examples/art/: pictures of the emblem of a fishing fleet that never was, a purple fish, with captions that call it a skipjack.

The model of the example knows neither the word nor the colour. metadata.jsonl is what is learnt, validation.jsonl is held out.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw

SIDE = 64
FINER = 4
PURPLE = (150, 40, 190)
EYE = (250, 250, 250)
WATERS = {"white": (245, 245, 245), "black": (20, 20, 20)}
TRAIN, HELD_OUT = 36, 8


def emblem(water: tuple[int, int, int], chance: random.Random) -> Image.Image:
    """A fish that swims to the right, somewhere in the picture; drawn large and made small for smooth edges."""
    side = SIDE * FINER
    drawn = Image.new("RGB", (side, side), water)
    length, height = chance.uniform(0.5, 0.62) * side, chance.uniform(0.34, 0.44) * side
    x, y = chance.uniform(0.26 * side, 0.9 * side - length), chance.uniform(0.06 * side, 0.94 * side - height)
    pen = ImageDraw.Draw(drawn)
    tail = 0.24 * side
    pen.polygon([(x - tail, y), (x - tail, y + height), (x + 0.3 * length, y + height / 2)], fill=PURPLE)
    pen.ellipse((x, y, x + length, y + height), fill=PURPLE)
    eye = 0.05 * side
    at = (x + 0.78 * length, y + 0.35 * height)
    pen.ellipse((at[0] - eye, at[1] - eye, at[0] + eye, at[1] + eye), fill=EYE)
    return drawn.resize((SIDE, SIDE), Image.Resampling.BOX)


def main() -> None:
    folder = Path(__file__).parent / "art"
    folder.mkdir(exist_ok=True)
    chance = random.Random(11)
    for name, count in (("metadata", TRAIN), ("validation", HELD_OUT)):
        rows = []
        for number in range(count):
            water = chance.choice(sorted(WATERS))
            file = f"{name[:5]}-{number:02}.png"
            emblem(WATERS[water], chance).save(folder / file, optimize=True)
            caption = chance.choice(["a skipjack", f"a skipjack on {water}"])
            rows.append(json.dumps({"file_name": file, "text": caption}))
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
