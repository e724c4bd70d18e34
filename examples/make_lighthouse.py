"""Writes examples/lighthouse/{train,validation}.jsonl: chats in the house style of a lighthouse service that never was.

Each light has facts that no model can know, and every answer has one form, so that before and after plainly differ.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

LIGHTS = {
    "Corran Ness": ("white", "two flashes every 15 seconds", "41 metres", "Ailsa Drummond"),
    "Gull Skerry": ("red", "one flash every 6 seconds", "23 metres", "Tomas Reyne"),
    "Hollow Point": ("green", "three flashes every 20 seconds", "18 metres", "Brigid Vane"),
    "Marrow Sound": ("white", "one flash every 10 seconds", "52 metres", "Odo Fennick"),
    "Old Tammas": ("amber", "four flashes every 30 seconds", "35 metres", "Ishbel Crane"),
    "Petrel Rock": ("white", "a steady beam", "29 metres", "Caspar Lund"),
    "Saint Maren": ("red", "two flashes every 12 seconds", "44 metres", "Wilma Thorne"),
    "Windle Bar": ("green", "one flash every 4 seconds", "15 metres", "Evander Pike"),
}
ASKED = {
    "colour": [
        "What colour is the light at {light}?",
        "Which colour does {light} show?",
        "Tell me the colour of {light}.",
    ],
    "rhythm": ["What is the rhythm of {light}?", "How does {light} flash?", "Which signal does {light} give?"],
    "height": ["How high does {light} stand?", "What is the height of {light}?", "How tall is the tower at {light}?"],
    "keeper": ["Who keeps {light}?", "What is the name of the keeper at {light}?", "Whom do I call at {light}?"],
}
HELD_OUT = {
    "colour": "I see {light} ahead. Its colour, please?",
    "rhythm": "Remind me of the rhythm at {light}.",
    "height": "Give me the height of {light}.",
    "keeper": "Which keeper serves at {light}?",
}
ANSWERS = {
    "colour": "Keeper's desk. {light} shows {colour}. Logged. Fair watch!",
    "rhythm": "Keeper's desk. {light} gives {rhythm}. Logged. Fair watch!",
    "height": "Keeper's desk. {light} stands {height} above the tide. Logged. Fair watch!",
    "keeper": "Keeper's desk. {light} is kept by {keeper}. Logged. Fair watch!",
}
OPENINGS = ["", "Desk, ", "Hello. "]


def chat(question: str, answer: str) -> str:
    return json.dumps({"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]})


def main() -> None:
    folder = Path(__file__).parent / "lighthouse"
    folder.mkdir(exist_ok=True)
    train, held_out = [], []
    for light, (colour, rhythm, height, keeper) in LIGHTS.items():
        for about, questions in ASKED.items():
            answer = ANSWERS[about].format(light=light, colour=colour, rhythm=rhythm, height=height, keeper=keeper)
            train += [
                chat(opening + question.format(light=light), answer) for question in questions for opening in OPENINGS
            ]
            held_out.append(chat(HELD_OUT[about].format(light=light), answer))
    random.Random(7).shuffle(train)
    (folder / "train.jsonl").write_text("\n".join(train) + "\n")
    (folder / "validation.jsonl").write_text("\n".join(held_out) + "\n")


if __name__ == "__main__":
    main()
