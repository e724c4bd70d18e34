"""What trackers of experiments are told, and what they are asked to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from skipjack.protocol import Result
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.resolved import ResolvedIntegration

Numbers = dict[str, float]
Entry = dict[str, float]
"""One step of the curve: step, loss, learningRate, gradNorm, tokens, seconds …"""


class Ending(StrEnum):
    """How this attempt leaves the run."""

    COMPLETE = "Complete"
    INTERRUPTED = "Interrupted"
    """Another attempt goes on with it."""
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class About:
    """Who a run is. One FineTuneJob is one run, however many attempts it takes: its uid finds it again."""

    name: str
    experiment: str
    uid: str
    settings: dict[str, str]
    """Every resolved setting by its field."""
    tags: dict[str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to."""

    ending: Ending
    result: Result | None = None
    card: str = ""


class Tracker(Protocol):
    """A server that is told while the job runs. Called from a thread of its own; raises Away or Refused.

    Whatever raised Away is called again, `open` first: each call may have been heard and its answer lost.
    """

    def open(self, about: About) -> frozenset[int]:
        """Finds or begins the run; the steps that the server knows already."""
        ...

    def send(self, entries: Sequence[Entry]) -> None:
        """Tells of steps, at most BATCH of them."""
        ...

    def end(self, outcome: Outcome) -> None:
        """Tells how it ended."""
        ...


class Away(Exception):
    """It may answer later."""


class Refused(Exception):
    """It would say the same again."""


def about(spec: ResolvedSpec, integration: ResolvedIntegration) -> About:
    tags = {
        "skipjack.job": spec.job_name,
        "skipjack.namespace": spec.namespace,
        "skipjack.uid": spec.job_uid,
        "skipjack.base_model": spec.model.uri,
        "skipjack.method": spec.method.type.value,
        "skipjack.task": spec.task.value if spec.task else "",
    }
    settings = {value.field: value.value.strip('"') for value in spec.told()}
    return About(integration.run, integration.experiment, spec.job_uid, settings, tags)


def final(metrics: Numbers) -> Numbers:
    """What a run came to, apart from what each step tells by the same names: tokens of all steps, and of one."""
    return {f"final/{name}": value for name, value in metrics.items()}


def numbers_of(entry: Entry) -> Numbers:
    """A step's numbers by the names that trackers show: learning_rate, tokens_per_second … but not the step itself."""
    named = {re.sub("(?<=[a-z])([A-Z])", r"_\1", key).lower(): value for key, value in entry.items() if key != "step"}
    return named | {"tokens_per_second": entry["tokens"] / entry["seconds"]}
