"""Writes examples/bindery/{train,validation}.jsonl: pairs of answers, one in the house style of a bookbinder's desk, one not.

In OpenAI's shape for preferences. What is preferred is short and kind and ends with the house's greeting; what isn't is long or curt.
Both say the same, and questions that are held out are about other things, so that nothing but the style can be learnt.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

# (what is asked about, the answer) of each question.
TRAIN = {
    "mend a torn page": "we mend it with fine paper in two days",
    "bind a thesis": "a thesis is bound in cloth within a week",
    "replace a spine": "a new spine is made of leather or cloth",
    "print a bookplate": "bookplates are printed on Thursdays",
    "clean a mouldy cover": "covers are cleaned dry, by hand",
    "sew loose pages": "loose pages are sewn with linen thread",
    "gild the edges": "edges are gilded with leaf, in a month",
    "make a slipcase": "a slipcase is made to measure",
    "copy an old map": "maps are copied on heavy paper",
    "store a family bible": "a bible is kept dry, and lying flat",
    "press some flowers": "flowers are pressed between felts",
    "repair a diary lock": "locks are repaired by a smith nearby",
}  # fmt: skip
HELD_OUT = {
    "restore a cookbook": "stains are washed out, page by page",
    "letter a title in gold": "titles are lettered with hot brass",
    "bind a songbook": "songbooks are bound so that they lie flat",
    "frame a letter": "letters are framed behind clear glass",
}
ASKED = ["Can you {thing}?", "I would like to {thing}.", "How do you {thing}?", "Do you {thing} for visitors?"]
KIND = ["With pleasure: {answer}. Warmly, the Bindery.", "Gladly: {answer}. Warmly, the Bindery."]
OTHER = [
    "Obviously. Everybody knows that {answer}. There is nothing more to it, so read the sign on the door before you ask again.",
    "Well, it depends on many things, and it would take very long to explain them all, but in general {answer}, or so they say.",
    "No idea why you ask. As far as it matters, {answer}. Next!",
    "As a matter of fact {answer}, although opinions differ, and one could go on about it for hours, which I will now do.",
]


def pairs(topics: dict[str, str], drawn: random.Random) -> list[str]:
    rows = []
    for thing, answer in topics.items():
        for question in ASKED:
            asked = {"role": "user", "content": question.format(thing=thing)}
            preferred, other = (drawn.choice(styles).format(answer=answer) for styles in (KIND, OTHER))
            row = {
                "input": {"messages": [asked]},
                "preferred_output": [{"role": "assistant", "content": preferred}],
                "non_preferred_output": [{"role": "assistant", "content": other}],
            }
            rows.append(json.dumps(row))
    drawn.shuffle(rows)
    return rows


def main() -> None:
    folder = Path(__file__).parent / "bindery"
    folder.mkdir(exist_ok=True)
    drawn = random.Random(11)
    (folder / "train.jsonl").write_text("\n".join(pairs(TRAIN, drawn)) + "\n")
    (folder / "validation.jsonl").write_text("\n".join(pairs(HELD_OUT, drawn)) + "\n")


if __name__ == "__main__":
    main()
