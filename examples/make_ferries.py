"""Writes examples/ferries/{facts,sailings,validation}.jsonl: chats at the desk of a ferry line that never was.

`facts` are short: some have no system prompt, some begin with an answer that is not to be learnt (weight 0). In `sailings` the desk calls a
tool before it answers, over several turns. What no model can know is in the facts, what it can read is in the tool's results.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

SYSTEM = {"role": "system", "content": "You are the desk of the Halden ferries. Answer in one line."}
PORTS = {
    "Skarvik": ("pier 3", "40 crowns"), "Lunde": ("pier 1", "25 crowns"), "Torsholm": ("pier 7", "60 crowns"),
    "Bremnes": ("pier 2", "35 crowns"), "Olden": ("pier 5", "80 crowns"), "Hestvik": ("pier 4", "20 crowns"),
}  # fmt: skip
BOATS = ("Alken", "Teisten", "Lomvi", "Havella")
PIERS = ("Where do I board for {port}?", "Which pier is for {port}?", "From which pier does the boat to {port} leave?")
BEFORE = (
    [SYSTEM],
    [],
    [SYSTEM, {"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Sorry, closed.", "weight": 0}],
)
FARES = ("What does it cost?", "And the fare?", "How much is that?")
SAILINGS = ("When is the next boat from {start} to {end}?", "I must get from {start} to {end}.")
TOOL = {
    "type": "function",
    "function": {
        "name": "next_sailing",
        "description": "The next boat.",
        "parameters": {"type": "object", "properties": {"start": {"type": "string"}, "end": {"type": "string"}}},
    },
}


def user(words: str) -> dict[str, Any]:
    return {"role": "user", "content": words}


def desk(words: str, **beside: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": words} | beside


def facts(port: str, asked: str, fare: str, before: list[dict[str, Any]]) -> dict[str, Any]:
    """Two answers."""
    pier, price = PORTS[port]
    answers = [desk(f"Aye, {port}: {pier}. Safe crossing!"), desk(f"Aye, {port}: {price}. Safe crossing!")]
    return {"messages": [*before, user(asked.format(port=port)), answers[0], user(fare), answers[1]]}


def sailing(asked: str, start: str, end: str, draw: random.Random, number: int) -> dict[str, Any]:
    """A call, its result, and the answer that it gives; then thanks."""
    time, boat = f"{draw.randrange(6, 22):02}:{draw.randrange(0, 60, 5):02}", draw.choice(BOATS)
    arguments = json.dumps({"start": start, "end": end})
    call = {"id": f"c{number}", "type": "function", "function": {"name": "next_sailing", "arguments": arguments}}
    result = {"role": "tool", "tool_call_id": f"c{number}", "content": json.dumps({"time": time, "boat": boat})}
    said = [
        SYSTEM, user(asked.format(start=start, end=end)), desk("", tool_calls=[call]), result,
        desk(f"Aye, the {boat} sails from {start} to {end} at {time}. Safe crossing!"),
        user("Thank you."), desk("Aye, any time. Safe crossing!"),
    ]  # fmt: skip
    return {"messages": said, "tools": [TOOL]}


def main() -> None:
    folder, draw = Path(__file__).parent / "ferries", random.Random(11)
    folder.mkdir(exist_ok=True)
    ways = [(start, end) for start in PORTS for end in PORTS if start != end]
    draw.shuffle(ways)
    learnt, held_out = ways[:16], ways[16:22]
    rows = {
        "facts": [facts(port, asked, FARES[n % 2], BEFORE[n]) for port in PORTS for n, asked in enumerate(PIERS)],
        "sailings": [sailing(SAILINGS[n % 2], *way, draw, n) for n, way in enumerate(learnt)],
        "validation": [
            *(facts(port, "{port}, please. Which pier?", FARES[2], [SYSTEM]) for port in PORTS),
            *(sailing("Is there a boat from {start} to {end}?", *way, draw, n) for n, way in enumerate(held_out)),
        ],
    }  # fmt: skip
    for name, chats in rows.items():
        draw.shuffle(chats)
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))


if __name__ == "__main__":
    main()
