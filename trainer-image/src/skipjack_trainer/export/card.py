"""The model card: every resolved value and its origin, losses, the curve as a picture, answers before and after."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.resolved import ResolvedSource


@dataclass(frozen=True, slots=True)
class Story:
    """What a run has to tell. Losses in nats a token."""

    spec: ResolvedSpec
    curve: list[dict[str, float]]
    metrics: dict[str, float]
    answers: list[tuple[str, str, str]]
    """(prompt, answer before, answer after)."""


CARD = "README.md"


def write_card(story: Story, folder: Path) -> None:
    """README.md, loss.png and metrics.jsonl into `folder`."""
    (folder / "metrics.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in story.curve))
    picture(story, folder / "loss.png")
    (folder / CARD).write_text(text(story))


def text(story: Story) -> str:
    spec = story.spec
    base = spec.model.uri.removeprefix("hf://").partition("@")[0]
    metrics = "\n".join(f"| {name} | {value:.6g} |" for name, value in sorted(story.metrics.items()))
    values = "\n".join(f"| `{value.field}` | `{value.value}` | {value.origin} |" for value in spec.told())
    answers = "\n\n".join(
        f"**{prompt}**\n\nBefore:\n{quote(before)}\n\nAfter:\n{quote(after)}" for prompt, before, after in story.answers
    )
    front = f"base_model: {base}\ntags: [skipjack, {spec.method.type.value.lower()}]\n"
    if spec.method.type is not MethodType.FULL:
        front += "library_name: peft\n"
    return (
        f"---\n{front}---\n# {spec.job_name}\n\n{base}, tuned by {spec.method.type.value} with Skipjack.\n\n"
        f"![Loss by step](loss.png)\n\n## Measured\n| what | value |\n| --- | --- |\n{metrics}\n\n"
        f"## Settings\n| setting | value | from |\n| --- | --- | --- |\n{values}\n\n"
        f"## Data\n{', '.join(_named(source) for source in spec.dataset.train)}\n"
        + (f"\n## The same prompts, before and after\n{answers}\n" if answers else "")
    )


def _named(source: ResolvedSource) -> str:
    return source.title if source.weight == 1 else f"{source.title} × {source.weight:g}"


def quote(words: str) -> str:
    return "\n".join(f"> {line}" for line in words.strip().splitlines()) or "> (nothing)"


def picture(story: Story, target: Path) -> None:
    """The loss curve as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot(xlabel="step", ylabel="loss (nats a token)", title=story.spec.job_name)
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
