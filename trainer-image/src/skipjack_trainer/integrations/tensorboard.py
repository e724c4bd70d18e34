"""TensorBoard: event files of the whole run, written when it is over from the curve that survives every restart."""

from __future__ import annotations

import time
from pathlib import Path

from ..export.card import CARD, Story
from .base import About, Numbers, numbers_of

HELD_OUT = "heldout"


def write(story: Story, about: About, folder: Path, scratch: Path) -> None:
    """tensorboard/RUN/events.out.tfevents.… in `folder`. Steps lie as far apart in time as they took, the last one now."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(folder / "tensorboard" / about.name) as writer:
        at = time.time() - sum(entry["seconds"] for entry in story.curve)
        for name, value in ends(story, "before").items():
            writer.add_scalar(f"{HELD_OUT}/{name}", value, 0, walltime=at)
        for entry in story.curve:
            at += entry["seconds"]
            for name, value in numbers_of(entry).items():
                tag = f"{HELD_OUT}/{name.removeprefix('heldout_')}" if name.startswith(HELD_OUT) else f"train/{name}"
                writer.add_scalar(tag, value, int(entry["step"]), walltime=at)
        last = int(story.curve[-1]["step"])
        for name, value in ends(story, "after").items():
            writer.add_scalar(f"{HELD_OUT}/{name}", value, story.stored_step, walltime=at)
        settings = "".join(f"| {field} | `{value}` |\n" for field, value in (about.tags | about.settings).items())
        writer.add_text("settings", f"| setting | value |\n| --- | --- |\n{settings}", 0, walltime=at)
        writer.add_text("card", (folder / CARD).read_text(), last, walltime=at)


def ends(story: Story, when: str) -> Numbers:
    """The held-out measures before or after training, by their metric."""
    begin, end = f"{HELD_OUT}_", f"_{when}"
    return {
        name.removeprefix(begin).removesuffix(end): value
        for name, value in story.metrics.items()
        if name.startswith(begin) and name.endswith(end)
    }
