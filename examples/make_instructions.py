"""Writes examples/instructions/{train,validation}.jsonl: instructions in Alpaca's layout (instruction, input, output).

A harbour store's notes are turned into what an instruction asks for; each kind of answer has one exact form, which no untuned model keeps.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

GOODS = [
    "lamp wicks",
    "brass polish",
    "tarred rope",
    "signal flags",
    "storm glass",
    "oilcloth",
    "copper nails",
    "fog horns",
]
KEEPERS = ["Ailsa Drummond", "Tomas Reyne", "Brigid Vane", "Odo Fennick", "Ishbel Crane", "Caspar Lund"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]
NOTES = [
    "{keeper} came by and wants {count} {goods} by {day}.",
    "Please have {count} {goods} ready for {keeper} on {day}.",
    "On {day} {keeper} will fetch {count} {goods}.",
]
HELD_OUT_NOTE = "{count} {goods}, says {keeper}, and not later than {day}."
KINDS = {
    "Write this note as an order.": "ORDER {goods} x{count} / {keeper} / {day}",
    "Write the receipt for this note.": "Received by {keeper}: {count} of {goods}. Harbour store, {day}.",
    "Write this note for the day book.": "[{day}] {count} {goods} -> {keeper}",
}
TRAIN, HELD_OUT = 120, 16


def row(draw: random.Random, notes: list[str]) -> str:
    told = {
        "goods": draw.choice(GOODS), "keeper": draw.choice(KEEPERS), "day": draw.choice(DAYS), "count": draw.randint(2, 60)
    }  # fmt: skip
    instruction = draw.choice(sorted(KINDS))
    return json.dumps(
        {
            "instruction": instruction,
            "input": draw.choice(notes).format(**told),
            "output": KINDS[instruction].format(**told),
        }
    )


def main() -> None:
    folder = Path(__file__).parent / "instructions"
    folder.mkdir(exist_ok=True)
    draw = random.Random(3)
    (folder / "train.jsonl").write_text("\n".join(row(draw, NOTES) for _ in range(TRAIN)) + "\n")
    (folder / "validation.jsonl").write_text("\n".join(row(draw, [HELD_OUT_NOTE]) for _ in range(HELD_OUT)) + "\n")


if __name__ == "__main__":
    main()
