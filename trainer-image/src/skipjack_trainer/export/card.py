"""The model card: every resolved value and its origin, losses, the curve as a picture, answers before and after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from skipjack.api.v1alpha1.dataset import Task
from skipjack.api.v1alpha1.learning import Metric
from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.resolved import ResolvedSource, camel

from .needs import table


@dataclass(frozen=True, slots=True)
class Story:
    """What a run has to tell. Losses in nats a token, or squared errors of pictures' noise."""

    spec: ResolvedSpec
    curve: list[dict[str, float]]
    metrics: dict[str, float]
    answers: list[tuple[str, str, str]]
    """(prompt, answer before, answer after)."""
    stored_step: int
    """Of the weights that are stored."""
    lineage: tuple[str, ...] = ()
    """What it was started from, and that from; the oldest first."""
    drawn: Sequence[tuple[str, str, str]] = ()
    """(prompt, picture before, picture after), files beside the card."""


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
    lineage = "".join(f"{number}. {told}\n" for number, told in enumerate(story.lineage, 1))
    front = f"tags: [skipjack, {spec.method.type.value.lower()}]\n"
    if spec.model.uri.startswith("hf://"):
        # The hub takes no card that names a base model of elsewhere.
        front += f"base_model: {base}\n"
    if spec.task is Task.TEXT_TO_IMAGE:
        front += "library_name: diffusers\n"
    elif spec.method.type is not MethodType.FULL:
        front += "library_name: peft\n"
    return (
        f"---\n{front}---\n# {spec.job_name}\n\n{base}, tuned by {spec.method.type.value} with Skipjack.\n\n"
        f"![Loss by step](loss.png)\n\n## Measured\n| what | value |\n| --- | --- |\n{metrics}\n{table(spec, story.metrics)}\n"
        f"## Settings\n| setting | value | from |\n| --- | --- | --- |\n{values}\n\n"
        + (f"## Started from\n{lineage}\n" if lineage else "")
        + f"## Data\n{', '.join(_named(source) for source in spec.dataset.train)}\n"
        + (f"\n## The same prompts, before and after\n{answers}\n" if answers else "")
        + (f"\n## The same prompts and noise, before and after\n{gallery(story)}" if story.drawn else "")
    )


def _named(source: ResolvedSource) -> str:
    return source.title if source.weight == 1 else f"{source.title} × {source.weight:g}"


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

    others = [key for key in measured(story) if key != Metric.LOSS.key]
    figure = Figure(figsize=(7, 7 if others else 4), layout="constrained")
    FigureCanvasAgg(figure)
    first, *second = figure.subplots(2 if others else 1, sharex=True, squeeze=False)[:, 0]
    unit = "squared error" if story.spec.task is Task.TEXT_TO_IMAGE else "nats a token"
    first.set(title=story.spec.job_name, ylabel=f"loss ({unit})")
    first.plot(*zip(*((e["step"], e["loss"]) for e in story.curve), strict=True), label="training", linewidth=1)
    if held := held_out(story, Metric.LOSS.key):
        first.plot(*zip(*held, strict=True), "o-", label="held out")
    for axes in second:
        axes.set(ylabel="on held-out rows")
        for key in others:
            axes.plot(*zip(*held_out(story, key), strict=True), "o-", label=key.replace("_", " "))
    for axes in (first, *second):
        axes.legend()
    (second or [first])[-1].set(xlabel="step")
    figure.savefig(target, dpi=120)


def measured(story: Story) -> list[str]:
    """What held-out rows were judged by, as measures are called."""
    return [key[8:-6] for key in story.metrics if key.startswith("heldout_") and key.endswith("_after")]


def held_out(story: Story, key: str) -> list[tuple[float, float]]:
    """(step, value) of one measure on held-out rows, from before the first step to after the last."""
    name = camel(f"heldout_{key}")
    between = [(entry["step"], entry[name]) for entry in story.curve if name in entry]
    if f"heldout_{key}_after" not in story.metrics:
        return between
    before, after = story.metrics[f"heldout_{key}_before"], story.metrics[f"heldout_{key}_after"]
    return sorted([(0, before), *between, (story.stored_step, after)])
