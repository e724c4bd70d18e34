"""Writes examples/harbour/{train,validation}.conll: entries of a harbour's log, in which people, ships and ports are marked (IOB2).

Held-out entries are worded otherwise and name people, ships and ports that training has not, so that only what stands around a name
tells what it names. Some words are names at one place and none at another.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

GIVEN = [
    "Anna",
    "Bruno",
    "Clara",
    "Dirk",
    "Elena",
    "Farid",
    "Greta",
    "Hugo",
    "Ines",
    "Jonas",
    "Katja",
    "Luis",
    "Mara",
    "Nils",
    "Olga",
    "Pavel",
]
FAMILY = [
    "Aldous",
    "Berger",
    "Costa",
    "Dahl",
    "Ekman",
    "Ferrer",
    "Grieg",
    "Holm",
    "Ivarsen",
    "Jansen",
    "Keller",
    "Lund",
    "Moreau",
    "Novak",
]
SHIPS = ["Aurora", "North Star", "Sea Lark", "Morning Light", "Heron", "Blue Petrel", "Storm Cock", "Island Queen", "Harvest", "Golden Rule",
         "Wanderer", "Silver Tide"]  # fmt: skip
PORTS = [
    "Lisbon",
    "Bergen",
    "Port Said",
    "Gdansk",
    "Cape Town",
    "Hull",
    "Saint John",
    "Rostock",
    "Valencia",
    "New Haven",
    "Oslo",
    "Tampico",
]
HELD_OUT = {
    "PER": ["Rosa Quist", "Stefan Ulrich", "Tilda Voss", "Yusuf Aydin", "Viola Brandt", "Walter"],
    "SHIP": ["Evening Wind", "Kestrel", "Black Swan", "Fair Maiden", "Pioneer", "Sea Otter"],
    "PORT": ["Hamburg", "Porto", "Saint Helier", "Aberdeen", "Port Louis", "Genoa"],
}
PATTERNS = [
    "{PER} brought the {SHIP} in from {PORT} at noon .", "The {SHIP} left for {PORT} under captain {PER} .",
    "Pilot {PER} boarded the {SHIP} off the breakwater .", "No berth for the {SHIP} until {PER} has paid the dues .",
    "Wind from the north , the {SHIP} waits outside .", "Cargo of the {SHIP} : timber from {PORT} , signed by {PER} .",
    "{PER} reports ice near {PORT} .", "Telegram from {PORT} : the {SHIP} is two days late .", "Two sailors of the {SHIP} were seen by doctor {PER} .",
    "The harvest from {PORT} goes on board the {SHIP} tomorrow .", "{PER} and {PER} took the tug out to the {SHIP} .",
    "Quiet night , a golden moon over the water .", "The light at the north pier is out again .", "{PER} asks for a berth next to the {SHIP} .",
    "Mail for {PORT} and {PORT} was handed to {PER} .", "The queen of the island fair came to see the ships .",
]  # fmt: skip
PATTERNS_HELD_OUT = [
    "Captain {PER} sailed the {SHIP} to {PORT} this morning .", "The {SHIP} is due from {PORT} tonight .", "A letter from {PORT} came for {PER} .",
    "{PER} inspected the cargo of the {SHIP} .", "The evening wind drops , nothing moves at the pier .", "Ice off {PORT} , says pilot {PER} .",
    "The {SHIP} lies next to the tug , and {PER} is on board .",
]  # fmt: skip
TRAIN_ENTRIES, HELD_OUT_ENTRIES = 360, 90


def named(kind: str, chance: random.Random) -> str:
    if kind == "PER":
        return chance.choice(GIVEN) + (f" {chance.choice(FAMILY)}" if chance.random() < 0.8 else "")
    return chance.choice(SHIPS if kind == "SHIP" else PORTS)


def entry(pattern: str, chance: random.Random, is_held_out: bool) -> Iterator[tuple[str, str]]:
    """(word, tag) of each word."""
    for word in pattern.split():
        if not word.startswith("{"):
            yield word, "O"
            continue
        kind = word[1:-1]
        name = chance.choice(HELD_OUT[kind]) if is_held_out else named(kind, chance)
        for number, part in enumerate(name.split()):
            yield part, f"{'I' if number else 'B'}-{kind}"


def main() -> None:
    chance = random.Random(7)
    folder = Path(__file__).parent / "harbour"
    folder.mkdir(exist_ok=True)
    for name, patterns, count in (
        ("train", PATTERNS, TRAIN_ENTRIES),
        ("validation", PATTERNS_HELD_OUT, HELD_OUT_ENTRIES),
    ):
        entries = [entry(chance.choice(patterns), chance, name == "validation") for _ in range(count)]
        text = "\n".join("".join(f"{word}\t{tag}\n" for word, tag in words) for words in entries)
        (folder / f"{name}.conll").write_text(text)


if __name__ == "__main__":
    main()
