"""Writes examples/tickets/{train,validation}.jsonl: what people write to the support of a shop that never was, and which desk it is for.

Held-out tickets are worded otherwise. As in life, some speak of another desk's matters too, some are mistyped, and in training one
of twenty-five lies on a wrong desk.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

DESKS: dict[str, tuple[list[str], list[str]]] = {
    "billing": (
        ["I was charged twice for {item}", "the invoice for {item} shows the wrong amount", "my card was debited but no receipt came",
         "the discount code was not taken off the price of {item}", "there is a fee on my statement that I can't explain",
         "please send the invoice for {item} to my accountant", "you took the money for {item} two times"],
        ["why does my bank show two payments for {item}", "the bill for {item} is higher than what you advertised", "I need a receipt with the tax on it"],
    ),
    "delivery": (
        ["the parcel with {item} has not arrived", "tracking has not moved for a week", "the courier left {item} with a stranger",
         "my package went to my old street", "when will {item} be shipped", "the driver never rang and took {item} back to the depot",
         "the shipment of {item} is late"],
        ["I am still waiting for the box with {item}", "the carrier says that it was dropped off, but nothing is here",
         "how many days until {item} gets to me"],
    ),
    "returns": (
        ["I would like to send {item} back", "{item} doesn't fit, how do I exchange it", "how do I print a return label for {item}",
         "{item} is not what I ordered, please take it back", "can I swap {item} for a larger size", "I changed my mind about {item} and want to return it",
         "is there still time to give {item} back"],
        ["the colour of {item} is wrong and I want to exchange it", "where do I bring {item} if I don't want to keep it",
         "please tell me how to return an unopened {item}"],
    ),
    "account": (
        ["I can't log in any more", "the password reset mail never comes", "please change the address in my profile", "how do I delete my account",
         "my user name is said to be taken", "two-factor codes are refused when I sign in", "I have two logins and want to merge them"],
        ["signing in fails although the password is right", "please update the phone number in my profile", "close my membership and erase my data"],
    ),
    "repair": (
        ["{item} stopped working after a day", "{item} makes a strange noise", "the screen of {item} stays black", "{item} won't charge any more",
         "{item} broke at the hinge", "the battery of {item} gets very hot", "{item} keeps turning itself off"],
        ["{item} won't start", "there is smoke coming out of {item}", "a button on {item} fell off and it no longer works"],
    ),
}  # fmt: skip
ITEMS = ["the kettle", "the headphones", "my lamp", "the blender", "the watch", "a speaker", "the toaster", "my camera"]
OPENINGS = ["Hello, ", "Hi there, ", "Good morning, ", "To whom it may concern: ", "", "", "Urgent! "]
ENDINGS = [".", ", please help.", "!!", ". Thanks", ". This is my third message.", ""]
ASIDES = [
    "My order came last month and I paid by card.", "I like your shop otherwise.", "The courier was kind, by the way.",
    "I have logged in to see the order.", "I still have the invoice.", "It worked well at first.",
]  # fmt: skip
TRAIN_PER_DESK, HELD_OUT_PER_DESK = 96, 24
WRONG_DESK = 0.04


def mistyped(text: str, chance: random.Random) -> str:
    """Two neighbouring letters change places."""
    at = chance.randrange(len(text) - 1)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def ticket(wordings: list[str], chance: random.Random) -> str:
    text = chance.choice(OPENINGS) + chance.choice(wordings).format(item=chance.choice(ITEMS)) + chance.choice(ENDINGS)
    if chance.random() < 0.4:
        text = f"{text} {chance.choice(ASIDES)}"
    for _ in range(chance.choice((0, 0, 1, 2))):
        text = mistyped(text, chance)
    return text


def rows(per_desk: int, held_out: bool, chance: random.Random) -> list[dict[str, str]]:
    made = [
        {"text": ticket(wordings[held_out], chance), "label": desk}
        for desk, wordings in DESKS.items()
        for _ in range(per_desk)
    ]
    chance.shuffle(made)
    return made


def main() -> None:
    chance = random.Random(7)
    folder = Path(__file__).parent / "tickets"
    folder.mkdir(exist_ok=True)
    train, held_out = rows(TRAIN_PER_DESK, False, chance), rows(HELD_OUT_PER_DESK, True, chance)
    for row in train:
        if chance.random() < WRONG_DESK:
            row["label"] = chance.choice([desk for desk in DESKS if desk != row["label"]])
    for name, some in (("train", train), ("validation", held_out)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))


if __name__ == "__main__":
    main()
