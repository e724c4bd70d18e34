"""The training loop, read from top to bottom.

A step is B examples out of an epoch's order, which is drawn by (seed, epoch) whatever the hardware: they are packed into micro-batches, which are
dealt to the ranks. Every task returns (loss_sum, weight); this loop alone divides, by the weight of the whole step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from skipjack.api.v1alpha1.learning import Scheduler
from skipjack.resolve.resolved import camel

from ..errors import DataInvalid, Diverged, Interrupted
from .best import gives_up, is_due, judged
from .checkpoint import Checkpoints, State
from .evaluate import evaluate, measured
from .noise import noised
from .order import draw_seed, step_examples
from .scale import LossScale
from .stop import Stop
from .trainee import Trainee


@dataclass(frozen=True, slots=True)
class Told:
    """What a step tells."""

    step: int
    steps: int
    epoch: float
    loss: float
    learning_rate: float
    tokens_per_second: float
    eta_seconds: float
    heldout: dict[str, float]
    """Measures on held-out rows, where they were looked at after this step."""
    best_step: int | None
    checkpoint_step: int | None
    is_last: bool
    numbers: dict[str, float]
    """The step's entry in the curve."""


def train(
    run: Trainee,
    checkpoints: Checkpoints,
    state: State,
    stop: Stop,
    tell: Callable[[Told], None],
) -> State:
    """Trains from `state` to the end, or to a Finish. Raises Interrupted (after a checkpoint), Diverged, PeerLost, DataInvalid."""
    settings = run.spec.hyperparameters
    stop.work_would_be_lost = True
    steps, batch = settings.max_steps, settings.global_batch_size
    assert steps is not None, "resolve_data settles it"
    assert batch is not None, "resolve_data settles it"
    mixture = run.mixture
    total = min(steps * batch, mixture.seen_in(settings.epochs)) if settings.epochs else steps * batch
    if (steps - 1) * batch >= total:
        raise DataInvalid(
            f"dataset.train has {len(run.train)} rows, too few for the {steps} steps that were planned: it has changed since; create a new job."
        )
    scale = state.scale if state.step else LossScale.first(run.spec.compute.precision)
    curve, saved_step, best = list(state.curve), state.step or None, state.best
    started, first_step = time.monotonic(), state.step
    if gives_up(best, run.spec):
        return state

    for step in range(state.step, steps):
        step_started, cpu_before = time.monotonic(), time.process_time()
        rate = settings.learning_rate * factor(step, steps, settings.warmup_ratio, settings.scheduler)
        indices = step_examples(step, batch, mixture, settings.seed, total)
        while True:
            loss_sum, weight, tokens = accumulate(run, indices, step, scale.value)
            norm = run.strategy.step(rate, scale.value, settings.max_grad_norm)
            if math.isfinite(loss_sum) and math.isfinite(norm):
                break
            # Nothing was updated: with a smaller scale the same step may do, and no example is lost.
            lower = scale.lowered() if math.isfinite(loss_sum) else None
            if lower is None:
                raise Diverged(
                    f"the loss of step {step + 1} is {loss_sum / weight:.3g} and its gradient's norm {norm:.3g}: lower hyperparameters.learningRate "
                    f"(it is {settings.learning_rate:g}). The last good checkpoint is of step {saved_step or 0}."
                )
            scale = lower

        done = step + 1
        loss = loss_sum / weight
        seconds = time.monotonic() - step_started
        entry = {
            "step": done, "loss": loss, "learningRate": rate, "gradNorm": norm, "tokens": tokens, "seconds": seconds
        }  # fmt: skip
        if scale.is_dynamic:
            entry["lossScale"] = scale.value
        scale = scale.after_a_step()
        heldout = {}
        if run.validation and is_due(run.spec, done, steps):
            heldout = evaluate(run, run.validation)
            entry |= {camel(f"heldout_{name}"): value for name, value in heldout.items()}
            if run.spec.evaluation.watches:
                best = judged(best, done, heldout, run.spec)
        curve.append(entry)

        wishes = [float(stop.leave), float(stop.finish)]
        *heard, entry["cpuSeconds"] = run.peers.total([*wishes, time.process_time() - cpu_before])
        asked_to_leave, asked_to_finish = (value > 0 for value in heard)
        is_last = done == steps or asked_to_finish or gives_up(best, run.spec)
        reached = State(done, curve, state.before, scale, best)
        every = run.spec.checkpoint.every_steps
        is_kept = run.spec.evaluation.keep_best and best is not None and best.step == done
        is_due_now = asked_to_leave or is_kept or (every and done % every == 0)
        if run.spec.checkpoint.keep_final if is_last else is_due_now:
            checkpoints.save(run.strategy, reached)
            saved_step = done
        eta = 0.0 if is_last else (time.monotonic() - started) / (done - first_step) * (steps - done)
        epoch = min(done * batch, total) / mixture.epoch_rows
        best_step = best.step if best else None
        tell(
            Told(done, steps, epoch, loss, rate, tokens / seconds, eta, heldout, best_step, saved_step, is_last, entry)
        )
        if asked_to_leave and not is_last:
            raise Interrupted(
                f"asked to stop after step {done} of {steps}; its checkpoint is stored, and the next attempt goes on from there."
            )
        if is_last:
            return reached
    return state


def accumulate(run: Trainee, indices: Sequence[int], step: int, scale: float) -> tuple[float, float, int]:
    """Takes the gradients of one step, times `scale`: (loss sum, weight, tokens) over all ranks."""
    settings, baseline = run.spec.hyperparameters, measured(run, run.train, indices)
    run.model.train()
    losses, tokens = torch.zeros((), device=run.strategy.objective.device), 0
    weight = sum(run.train[index].weight for index in indices)
    for members, counts in run.share(run.train, indices):
        batch = [run.train[index].with_beside(**baseline) for index in members]
        seeds = [draw_seed(settings.seed, step, index) for index in members]
        torch.manual_seed(seeds[0])
        with noised(run.model, settings.neftune_alpha, batch, seeds):
            part, part_weight = run.loss(batch, seeds)
        # By each part's weight, the penalty counts once over the whole step.
        penalised = part + run.strategy.objective.method.penalty(run.model) * part_weight
        run.strategy.backward(penalised * (counts / weight), scale)
        if counts:
            losses += part.detach()
            tokens += sum(len(run.train[index]) for index in members)
    loss_sum, all_tokens = run.peers.total([float(losses), float(tokens)])
    return loss_sum, weight, int(all_tokens)


def factor(step: int, steps: int, warmup_ratio: float, scheduler: Scheduler) -> float:
    """Share of the peak learning rate in `step` (from 0)."""
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - warmup)
    match scheduler:
        case Scheduler.COSINE:
            return 0.5 * (1 + math.cos(math.pi * progress))
        case Scheduler.LINEAR:
            return 1 - progress
        case Scheduler.CONSTANT:
            return 1.0
