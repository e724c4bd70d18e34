"""What a reader of `status.progress` sees: a fold over samples in which the step never runs backwards in an attempt."""

from __future__ import annotations

import math
from datetime import datetime

from skipjack.api.v1alpha1.status import ProgressStatus
from skipjack.protocol import Sample

HUGE = 1e9
"""From here on figures are told by their exponent: a run that diverges must not fill the column."""

RESUMING = "Resuming"
"""The phase of a new pod until it is where the pod before it had come to."""


def advance(before: ProgressStatus | None, sample: Sample, at: datetime) -> ProgressStatus:
    """What to show after `sample`, given what was shown before it (None: nothing)."""
    same_attempt = before is not None and before.attempt == sample.attempt
    reached = before.step if before is not None and same_attempt else 0
    steps = sample.steps or (before.steps if before is not None and same_attempt else 0)
    step = max(sample.step, reached)
    eta = None if sample.eta_seconds is None else duration(sample.eta_seconds)
    return ProgressStatus(
        attempt=sample.attempt,
        step=step,
        steps=steps,
        percent=percent(step, steps),
        epoch=f"{sample.epoch:.2f}" if sample.epoch < HUGE else f"{sample.epoch:.3g}",
        loss=number(sample.loss),
        heldout_loss=number(sample.heldout_loss) or (before.heldout_loss if before else None),
        metric=sample.metric.value if sample.metric else before.metric if before else None,
        metric_value=number(sample.metric_value) or (before.metric_value if before else None),
        best_step=before.best_step if before and sample.best_step is None else sample.best_step,
        learning_rate=None if sample.learning_rate is None else f"{sample.learning_rate:.3g}",
        tokens_per_second=None if sample.tokens_per_second is None else _whole(sample.tokens_per_second),
        eta=eta,
        checkpoint_step=before.checkpoint_step if before and sample.checkpoint_step is None else sample.checkpoint_step,
        phase=RESUMING if sample.step < reached else sample.phase,
        updated=at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def percent(step: int, steps: int) -> str:
    """Rounded down, so that 100.0% is said of the last step alone."""
    if steps <= 0:
        return "0.0%"
    tenths = min(step, steps) * 1000 // steps
    return f"{tenths // 10}.{tenths % 10}%"


def number(value: float | None) -> str | None:
    """A loss with four decimals; what isn't finite is told as it is."""
    if value is None:
        return None
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(value)]
    return f"{value:.4f}" if abs(value) < HUGE else f"{value:.5g}"


def _whole(value: float) -> str:
    return f"{value:.0f}" if abs(value) < HUGE else f"{value:.3g}"


def duration(seconds: float) -> str | None:
    """Hours, minutes and seconds, as kubectl prints an age ("3m20s"); None for what is no time."""
    if not 0 <= seconds < HUGE:
        return None
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{left}s" if minutes else f"{left}s"
