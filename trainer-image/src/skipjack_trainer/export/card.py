"""The model card: every resolved value and its origin, losses, the curve as a picture, answers before and after."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from skipjack.api.v1alpha1.dataset import Task
from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import ResolvedSpec


@dataclass(frozen=True, slots=True)
class Story:
    """What a run has to tell. Losses in nats a token, or squared errors of pictures' noise."""

    spec: ResolvedSpec
    curve: list[dict[str, float]]
    metrics: dict[str, float]
    answers: list[tuple[str, str, str]]
    """(prompt, answer before, answer after)."""
    drawn: list[tuple[str, str, str]] = field(default_factory=list)
    """(prompt, picture before, picture after), files beside the card."""


def write_card(story: Story, folder: Path) -> None:
    """README.md, loss.png and metrics.jsonl into `folder`."""
    (folder / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in story.curve))
    picture(story, folder / "loss.png")
    (folder / "README.md").write_text(text(story))


def text(story: Story) -> str:
    spec = story.spec
    base = spec.model.uri.removeprefix("hf://").partition("@")[0]
    metrics = "\n".join(f"| {name} | {value:.6g} |" for name, value in sorted(story.metrics.items()))
    values = "\n".join(f"| `{value.field}` | `{value.value}` | {value.origin} |" for value in spec.told())
    answers = "\n\n".join(
        f"**{prompt}**\n\nBefore:\n{quote(before)}\n\nAfter:\n{quote(after)}" for prompt, before, after in story.answers
    )
    front = f"base_model: {base}\ntags: [skipjack, {spec.method.type.value.lower()}]\n"
    if spec.task is Task.TEXT_TO_IMAGE:
        front += "library_name: diffusers\n"
    elif spec.method.type is not MethodType.FULL:
        front += "library_name: peft\n"
    return (
        f"---\n{front}---\n# {spec.job_name}\n\n{base}, tuned by {spec.method.type.value} with Skipjack.\n\n"
        f"![Loss by step](loss.png)\n\n## Measured\n| what | value |\n| --- | --- |\n{metrics}\n\n"
        f"## Settings\n| setting | value | from |\n| --- | --- | --- |\n{values}\n\n"
        f"## Data\n{', '.join(source.uri for source in spec.dataset.train)}\n"
        + (f"\n## The same prompts, before and after\n{answers}\n" if answers else "")
        + (f"\n## The same prompts and noise, before and after\n{gallery(story)}" if story.drawn else "")
    )


def gallery(story: Story) -> str:
    """Pictures side by side."""
    rows = [(prompt.replace("\n", " ").replace("|", "\\|"), *files) for prompt, *files in story.drawn]
    table = "".join(f"| {prompt} | ![before]({before}) | ![after]({after}) |\n" for prompt, before, after in rows)
    return f"| prompt | before | after |\n| --- | --- | --- |\n{table}"


def quote(words: str) -> str:
    return "\n".join(f"> {line}" for line in words.strip().splitlines()) or "> (nothing)"


def picture(story: Story, target: Path) -> None:
    """The loss curve as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    unit = "squared error" if story.spec.task is Task.TEXT_TO_IMAGE else "nats a token"
    axes = figure.add_subplot(xlabel="step", ylabel=f"loss ({unit})", title=story.spec.job_name)
    axes.plot(
        [entry["step"] for entry in story.curve],
        [entry["loss"] for entry in story.curve],
        label="training",
        linewidth=1,
    )
    held = [(entry["step"], entry["heldoutLoss"]) for entry in story.curve if "heldoutLoss" in entry]
    if "heldout_loss_before" in story.metrics:
        held = [
            (0, story.metrics["heldout_loss_before"]),
            *held,
            (len(story.curve), story.metrics["heldout_loss_after"]),
        ]
    if held:
        axes.plot(*zip(*held, strict=True), "o-", label="held out")
    axes.legend()
    figure.savefig(target, dpi=120)
