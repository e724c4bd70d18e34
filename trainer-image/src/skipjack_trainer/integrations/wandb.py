"""Weights & Biases, offline: a run's folder, written when it is over from the curve that survives every restart.

`wandb sync --id UID wandb/offline-run-*` brings it to a server; by its id it is the same run each time.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from ..export.card import CARD, Story
from .base import About, final, numbers_of

INIT_SECONDS = 60.0


def write(story: Story, about: About, folder: Path, scratch: Path) -> None:
    """wandb/offline-run-…/ in `folder`: the run's records and its files. `scratch`: for what the library writes beside them."""
    import wandb

    settings = wandb.Settings(
        mode="offline",
        root_dir=str(scratch),
        init_timeout=INIT_SECONDS,
        console="off",
        silent=True,
        save_code=False,
        disable_git=True,
        disable_job_creation=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
    )
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        try:
            record(story, about, (folder / CARD).read_text(), settings)
        finally:
            # The library's own process writes the file out when it ends, not when the run does.
            wandb.teardown()
        (written,) = (scratch / "wandb").glob("offline-run-*")
        shutil.copytree(written, folder / "wandb" / written.name, ignore=shutil.ignore_patterns("logs", "tmp"))
    finally:
        shutil.rmtree(scratch)


def record(story: Story, about: About, card: str, settings: Any) -> None:
    import wandb

    run = wandb.init(
        project=about.experiment,
        name=about.name,
        id=about.uid,
        config=about.settings | about.tags,
        notes=card,
        settings=settings,
    )
    for entry in story.curve:
        run.log(numbers_of(entry), step=int(entry["step"]))
    run.summary.update(final(story.metrics))
    run.finish()
