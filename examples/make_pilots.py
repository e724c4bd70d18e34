"""Writes examples/pilots/{train,validation}.jsonl: pages of a pilot's book on coasts that never were, and questions about them.

A page tells three things of a place. A question asks for one thing: its answer stands on the page, or, for one in five, it doesn't.
One page in twelve tells of seven places and is longer than what the model reads at once. Places on held-out pages stand on no other.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

FIRST = [
    "Gull",
    "Petrel",
    "Hollow",
    "Windle",
    "Marrow",
    "Saint",
    "Old",
    "Corran",
    "Amber",
    "Thistle",
    "Raven",
    "Iron",
    "Salt",
    "Bell",
    "Otter",
]
LAST = ["Point", "Skerry", "Sound", "Bar", "Rock", "Ness", "Haven", "Reach", "Cove", "Head"]
KEEPERS = ["Ailsa", "Tomas", "Brigid", "Odo", "Ishbel", "Caspar", "Wilma", "Evander", "Maud", "Jonas"]
FAMILIES = ["Drummond", "Reyne", "Vane", "Fennick", "Crane", "Lund", "Thorne", "Pike", "Sorrel", "Hale"]
BOTTOMS = ["coarse sand", "blue clay", "broken shell", "grey mud", "flat rock", "weed and gravel"]
TOLD = {
    "keeper": ("{place} is kept by {answer}.", ["Who keeps {place}?", "What is the name of the keeper at {place}?"]),
    "year": (
        "The tower at {place} was built in {answer}.",
        ["When was the tower at {place} built?", "In which year was {place} built?"],
    ),
    "bottom": (
        "The bottom off {place} is {answer}.",
        ["What is the bottom like off {place}?", "What lies on the bottom off {place}?"],
    ),
    "depth": (
        "At low water there are {answer} off {place}.",
        ["How deep is it off {place}?", "How much water is there off {place}?"],
    ),
}
MISSING_SHARE = 0.2
LONG_EVERY = 12
PLACES_SHORT, PLACES_LONG = 1, 7
TRAIN_PAGES, HELD_OUT_PAGES = 150, 24
QUESTIONS_A_PAGE = 3


def main() -> None:
    folder, draw = Path(__file__).parent / "pilots", random.Random(11)
    folder.mkdir(exist_ok=True)
    places = [f"{first} {last}" for first in FIRST for last in LAST]
    draw.shuffle(places)
    some = {"validation": (places[:40], HELD_OUT_PAGES), "train": (places[40:], TRAIN_PAGES)}
    for name, (known, pages) in some.items():
        rows = [row for page in range(pages) for row in asked_of(known, page % LONG_EVERY == LONG_EVERY - 1, draw)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def asked_of(known: list[str], is_long: bool, draw: random.Random) -> Iterator[dict[str, object]]:
    """Rows about one page."""
    firsts = draw.sample(sorted({place.split()[0] for place in known}), PLACES_LONG if is_long else PLACES_SHORT)
    places = [draw.choice([place for place in known if place.startswith(first)]) for first in firsts]
    facts = {(place, about): answer(about, draw) for place in places for about in draw.sample(sorted(TOLD), 3)}
    context = " ".join(TOLD[about][0].format(place=place, answer=told) for (place, about), told in facts.items())
    for _ in range(QUESTIONS_A_PAGE):
        (place, about), told = draw.choice(sorted(facts.items()))
        answers: dict[str, list[object]] = {"text": [], "answer_start": []}
        if draw.random() < MISSING_SHARE:
            about = next(other for other in sorted(TOLD) if (place, other) not in facts)
        else:
            sentence = context.index(TOLD[about][0].format(place=place, answer=told))
            answers = {"text": [told], "answer_start": [context.index(told, sentence)]}
        yield {"question": draw.choice(TOLD[about][1]).format(place=place), "context": context, "answers": answers}


def answer(about: str, draw: random.Random) -> str:
    match about:
        case "keeper":
            return f"{draw.choice(KEEPERS)} {draw.choice(FAMILIES)}"
        case "year":
            return str(draw.randrange(1780, 1930))
        case "bottom":
            return draw.choice(BOTTOMS)
        case _:
            return f"{draw.randrange(3, 40)} metres"


if __name__ == "__main__":
    main()
