"""Trackers of experiments, for the one rank that speaks: servers are followed while the job runs, files are written when it is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import rmtree
from types import TracebackType

from skipjack.api.v1alpha1.integration import IntegrationType
from skipjack.protocol import Result
from skipjack.resolve import ResolvedSpec

from ..engine.checkpoint import State
from ..engine.loop import Told
from ..errors import Interrupted
from ..export.card import Story
from . import tensorboard, wandb
from .base import About, Ending, Outcome, Tracker, about
from .following import Following
from .mlflow import MLflow

SERVERS: dict[IntegrationType, Callable[[str], Tracker]] = {IntegrationType.MLFLOW: MLflow}
FILES: dict[IntegrationType, Callable[[Story, About, Path, Path], None]] = {
    IntegrationType.TENSORBOARD: tensorboard.write,
    IntegrationType.WANDB: wandb.write,
}


class Trackers:
    """All that a job asked for. Leaving the context tells them how the attempt ended."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.followed: list[Following] = []
        self.result: Result | None = None
        self.card = ""

    def start(self, spec: ResolvedSpec, state: State) -> None:
        """From now on they hear of the run; first of the steps of earlier attempts that they don't know."""
        self.followed = [
            Following(own.type.value, SERVERS[own.type](own.uri), about(spec, own), state.curve, self.say)
            for own in spec.integrations
            if own.type in SERVERS and own.uri
        ]

    def log(self, told: Told) -> None:
        for following in self.followed:
            following.log(told.numbers)

    def stored(self, result: Result, card: str) -> None:
        """What the run came to."""
        self.result, self.card = result, card

    def __enter__(self) -> Trackers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = Ending.INTERRUPTED if isinstance(error, Interrupted) else Ending.FAILED
        outcome = Outcome(failed if error else Ending.COMPLETE, self.result, self.card)
        for following in self.followed:
            following.close(outcome)


def write_files(story: Story, folder: Path, scratch: Path, say: Callable[[str], None]) -> None:
    """The files of the trackers that are read from the output, into `folder`, where the card is already. Fails no job."""
    for own in story.spec.integrations:
        if own.type not in FILES:
            continue
        try:
            FILES[own.type](story, about(story.spec, own), folder, scratch / own.type.value.lower())
        except Exception as error:  # noqa: BLE001 -- whatever ails a tracker's library, the model is trained and is stored
            say(f"{own.type.value}'s files can't be written, the output has none: {type(error).__name__}: {error}")
            rmtree(folder / own.type.value.lower(), ignore_errors=True)


__all__ = ["FILES", "SERVERS", "Trackers", "write_files"]
