"""What rank 0 says of a run: to the log, and to the operator."""

from __future__ import annotations

from skipjack.protocol import Sample

from .data.prepare import Prepared
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
    heldout = f"  held-out loss {told.heldout_loss:.4f}" if told.heldout_loss is not None else ""
    return f"step {told.step}/{told.steps}  loss {told.loss:.4f}{heldout}  {told.tokens_per_second:.0f} tokens/s"


def step_sample(attempt: int, told: Told) -> Sample:
    return Sample(
        attempt=attempt,
        step=told.step,
        steps=told.steps,
        epoch=told.epoch,
        loss=told.loss,
        learning_rate=told.learning_rate,
        tokens_per_second=told.tokens_per_second,
        eta_seconds=told.eta_seconds,
        heldout_loss=told.heldout_loss,
        checkpoint_step=told.checkpoint_step,
        phase="Exporting" if told.is_last else "Training",
    )


def sentence(metrics: dict[str, float], step: int, steps: int) -> str:
    """The whole story in one."""
    done = f"{step} steps" if step == steps else f"finished when asked to, after {step} of {steps} steps"
    if "heldout_loss_after" in metrics:
        return f"{done}; held-out loss {metrics['heldout_loss_before']:.3f} before, {metrics['heldout_loss_after']:.3f} after."
    return f"{done}; training loss {metrics['train_loss']:.3f} at the end."
