"""Weights & Biases, offline: a run's folder, written when it is over from the curve that survives every restart.

`wandb sync --id UID wandb/offline-run-*` brings it to a server; by its id it is the same run each time.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ..export.card import CARD, Story
from .base import About, numbers_of

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
        run = wandb.init(
            project=about.experiment,
            name=about.name,
            id=about.uid,
            config=about.settings | about.tags,
            notes=(folder / CARD).read_text(),
            settings=settings,
        )
        for entry in story.curve:
            run.log(dict(numbers_of(entry)), step=int(entry["step"]))
        run.summary.update(story.metrics)
        run.finish()
        (written,) = (scratch / "wandb").glob("offline-run-*")
        place = folder / "wandb" / written.name
        shutil.copytree(written, place, ignore=shutil.ignore_patterns("logs", "tmp"))
    finally:
        wandb.teardown()
        shutil.rmtree(scratch)
