"""The best evaluation so far, and whether it is time to give up looking for a better one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from skipjack.resolve import ResolvedSpec
from skipjack.tasks import TASKS

from ..errors import ConfigurationInvalid


@dataclass(frozen=True, slots=True)
class Best:
    """The best evaluation so far, by `evaluation.metric`."""

    step: int
    value: float
    evaluations_since: int = 0
    """Evaluations in a row after it, none of them better."""


def refuse_unmeasured(spec: ResolvedSpec, held_out_rows: int) -> None:
    """Raises ConfigurationInvalid where evaluations are to decide by what the task isn't judged by, or by no rows at all."""
    metric, task = spec.evaluation.metric, spec.task
    assert metric is not None, "resolve_data settles it"
    assert task is not None, "resolve_data settles it"
    if metric not in TASKS[task].metrics:
        able = ", ".join(known.value for known in TASKS[task].metrics)
        raise ConfigurationInvalid(
            f"evaluation.metric: {task.value} isn't judged by {metric.value}, it is by {able}: choose one of these."
        )
    if spec.evaluation.watches and not held_out_rows:
        raise ConfigurationInvalid(
            "evaluation: keepBest and earlyStopping judge by held-out rows, and none was left: hold out more, or raise maxLength."
        )


def judged(best: Best | None, step: int, measures: Mapping[str, float], spec: ResolvedSpec) -> Best:
    """The best once the evaluation of `step` is counted too. An equal one is no better, nor is one within minDelta.

    Raises ConfigurationInvalid where the metric is none that the task has measured.
    """
    metric, stopping = spec.evaluation.metric, spec.evaluation.early_stopping
    assert metric is not None, "resolve_data settles it"
    if metric.key not in measures:
        raise ConfigurationInvalid(
            f"evaluation.metric: {metric.value} isn't measured on these rows, {', '.join(sorted(measures))} is: choose one of these."
        )
    value = measures[metric.key]
    if best is None:
        return Best(step, value)
    gain = value - best.value if metric.is_better_higher else best.value - value
    if gain > (stopping.min_delta if stopping else 0.0):
        return Best(step, value)
    return replace(best, evaluations_since=best.evaluations_since + 1)


def gives_up(best: Best | None, spec: ResolvedSpec) -> bool:
    """Whether training ends early."""
    stopping = spec.evaluation.early_stopping
    return stopping is not None and best is not None and best.evaluations_since >= stopping.patience


def is_due(spec: ResolvedSpec, done: int, steps: int) -> bool:
    """Whether held-out rows are looked at after step `done`. After the last they are anyway, unless that one competes too."""
    every = spec.evaluation.every_steps
    return bool(every) and (done % every == 0 if done < steps else spec.evaluation.keep_best)
