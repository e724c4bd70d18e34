"""What rank 0 says of a run: to the log, and to the operator."""

from __future__ import annotations

from skipjack.api.v1alpha1.learning import Metric
from skipjack.protocol import Sample
from skipjack.resolve import ResolvedSpec

from .data.prepare import Prepared
from .engine.best import gives_up
from .engine.checkpoint import State
from .engine.loop import Told


def say(line: str) -> None:
    print(line, flush=True)


def nothing(line: str) -> None:
    """For the other ranks: they would say the same."""


def first_sample(attempt: int, prepared: Prepared) -> Sample:
    """What the data decided, told before the first step."""
    return Sample(
        attempt=attempt,
        step=0,
        steps=prepared.spec.hyperparameters.max_steps or 0,
        epoch=0.0,
        phase="Preparing",
        resolved=list(prepared.spec.told()),
        facts=prepared.facts,
    )


def step_line(told: Told) -> str:
    heldout = "".join(f"  held-out {name} {value:.4f}" for name, value in told.heldout.items())
    return f"step {told.step}/{told.steps}  loss {told.loss:.4f}{heldout}  {told.tokens_per_second:.0f} tokens/s"


def step_sample(attempt: int, told: Told, metric: Metric) -> Sample:
    value = told.heldout.get(metric.key)
    return Sample(
        attempt=attempt,
        step=told.step,
        steps=told.steps,
        epoch=told.epoch,
        loss=told.loss,
        learning_rate=told.learning_rate,
        tokens_per_second=told.tokens_per_second,
        eta_seconds=told.eta_seconds,
        heldout_loss=told.heldout.get(Metric.LOSS.key),
        metric=None if value is None else metric,
        metric_value=value,
        best_step=told.best_step,
        checkpoint_step=told.checkpoint_step,
        phase="Exporting" if told.is_last else "Training",
    )


def sentence(spec: ResolvedSpec, metrics: dict[str, float], ended: State, stored_step: int) -> str:
    """The whole story in one."""
    steps, metric = spec.hyperparameters.max_steps or 0, spec.evaluation.metric or Metric.LOSS
    told = [f"{ended.step} steps"]
    if ended.best and gives_up(ended.best, spec):
        told = [
            f"stopped early, after {ended.step} of {steps} steps: {metric.value} was best at step {ended.best.step}"
        ]
    elif ended.step != steps:
        told = [f"finished when asked to, after {ended.step} of {steps} steps"]
    if stored_step != ended.step:
        told += [f"stored are the weights of step {stored_step}, the best by {metric.value}"]
    measures = [key for key in dict.fromkeys((Metric.LOSS.key, metric.key)) if f"heldout_{key}_after" in metrics]
    for key in measures:
        before, after = metrics[f"heldout_{key}_before"], metrics[f"heldout_{key}_after"]
        told += [f"held-out {key.replace('_', ' ')} {before:.3f} before, {after:.3f} after"]
    if not measures:
        told += [f"training loss {metrics['train_loss']:.3f} at the end"]
    return "; ".join(told) + "."
