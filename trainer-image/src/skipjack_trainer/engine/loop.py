"""The training loop, read from top to bottom.

A step is B examples out of a permutation of (seed, epoch), whatever the hardware: they are packed into micro-batches, which are
dealt to the ranks. Every task returns (loss_sum, weight); this loop alone divides, by the weight of the whole step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from skipjack.api.v1alpha1.finetunejob import Precision, Scheduler
from skipjack.resolve import ResolvedSpec

from ..data.example import Example
from ..errors import DataInvalid, Diverged, Interrupted
from ..tasks import TASKS
from .batches import group, packed, padded
from .checkpoint import Checkpoints, State, trained
from .order import dropout_seed, step_examples
from .stop import Stop
from .strategy import Strategy


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
    heldout_loss: float | None
    checkpoint_step: int | None
    is_last: bool


@dataclass(frozen=True, slots=True)
class Trainee:
    """Everything that one run is made of."""

    model: Any
    spec: ResolvedSpec
    train: Sequence[Example]
    validation: Sequence[Example]
    strategy: Strategy
    device: torch.device

    def autocast(self) -> AbstractContextManager[Any]:
        if self.spec.compute.precision is Precision.BF16:
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    def groups(self, examples: Sequence[Example], indices: Sequence[int]) -> list[list[int]]:
        """The indices in micro-batches; those of this rank are every world-th one."""
        budget = self.spec.compute.micro_batch_tokens
        assert budget is not None, "resolve_data settles it"
        return group(examples, indices, budget, self.spec.dataset.packing)

    def loss(self, examples: Sequence[Example]) -> tuple[torch.Tensor, float]:
        batch = packed(examples, self.device) if self.spec.dataset.packing else padded(examples, self.device)
        assert self.spec.task is not None, "resolve_data settles it"
        with self.autocast():
            return TASKS[self.spec.task](self.model, batch)


def make_optimizer(model: Any, spec: ResolvedSpec) -> torch.optim.Optimizer:
    settings = spec.hyperparameters
    return torch.optim.AdamW(
        [p for _, p in trained(model)], lr=settings.learning_rate, weight_decay=settings.weight_decay
    )


def train(
    run: Trainee,
    optimizer: torch.optim.Optimizer,
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
    total = min(steps * batch, math.ceil(len(run.train) * settings.epochs)) if settings.epochs else steps * batch
    if (steps - 1) * batch >= total:
        raise DataInvalid(
            f"dataset.train has {len(run.train)} rows, too few for the {steps} steps that were planned: it has changed since; create a new job."
        )
    parameters = [parameter for _, parameter in trained(run.model)]
    curve, saved_step = list(state.curve), state.step or None
    started, first_step = time.monotonic(), state.step

    for step in range(state.step, steps):
        step_started = time.monotonic()
        rate = settings.learning_rate * factor(step, steps, settings.warmup_ratio, settings.scheduler)
        indices = step_examples(step, batch, len(run.train), settings.seed, total)
        loss_sum, weight, tokens, norm = accumulate(run, indices, step, parameters)
        if not math.isfinite(loss_sum) or not math.isfinite(norm):
            raise Diverged(
                f"the loss of step {step + 1} is {loss_sum / weight:.3g} and its gradient's norm {norm:.3g}: lower hyperparameters.learningRate "
                f"(it is {settings.learning_rate:g}). The last good checkpoint is of step {saved_step or 0}."
            )
        for setting in optimizer.param_groups:
            setting["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

        done = step + 1
        loss = loss_sum / weight
        seconds = time.monotonic() - step_started
        entry = {
            "step": done, "loss": loss, "learningRate": rate, "gradNorm": norm, "tokens": tokens, "seconds": seconds
        }  # fmt: skip
        heldout = None
        if (
            run.validation
            and run.spec.evaluation.every_steps
            and done % run.spec.evaluation.every_steps == 0
            and done < steps
        ):
            heldout = entry["heldoutLoss"] = evaluate(run, run.validation)
        curve.append(entry)

        asked_to_leave, asked_to_finish = (
            value > 0 for value in run.strategy.total([float(stop.leave), float(stop.finish)])
        )
        every = run.spec.checkpoint.every_steps
        if done < steps and not asked_to_finish and (asked_to_leave or (every and done % every == 0)):
            if run.strategy.rank == 0:
                checkpoints.save(run.model, optimizer, State(done, curve, state.before))
            run.strategy.barrier()
            saved_step = done
        is_last = done == steps or asked_to_finish
        eta = 0.0 if is_last else (time.monotonic() - started) / (done - first_step) * (steps - done)
        epoch = min(done * batch, total) / len(run.train)
        tell(Told(done, steps, epoch, loss, rate, tokens / seconds, eta, heldout, saved_step, is_last))
        if asked_to_leave and not is_last:
            raise Interrupted(
                f"asked to stop after step {done} of {steps}; its checkpoint is stored, and the next attempt goes on from there."
            )
        if is_last:
            return State(done, curve, state.before)
    return state


def accumulate(
    run: Trainee, indices: Sequence[int], step: int, parameters: Sequence[torch.nn.Parameter]
) -> tuple[float, float, int, float]:
    """Gradients of one step over all ranks, clipped: (loss sum, weight, tokens, norm before clipping)."""
    run.model.train()
    losses, tokens = torch.zeros((), device=run.device), 0
    weight = sum(float(run.train[index].weights.sum()) for index in indices)
    for members in run.groups(run.train, indices)[run.strategy.rank :: run.strategy.world]:
        torch.manual_seed(dropout_seed(run.spec.hyperparameters.seed, step, members[0]))
        part, _ = run.loss([run.train[index] for index in members])
        (part / weight).backward()
        losses += part.detach()
        tokens += sum(len(run.train[index]) for index in members)
    run.strategy.sum_gradients(parameters)
    loss_sum, all_tokens = run.strategy.total([float(losses), float(tokens)])
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, run.spec.hyperparameters.max_grad_norm))
    return loss_sum, weight, int(all_tokens), norm


@torch.no_grad()
def evaluate(run: Trainee, examples: Sequence[Example]) -> float:
    """Mean loss in nats a learnt token, over all ranks. Draws nothing from any generator. Raises Diverged."""
    run.model.eval()
    loss_sum = weight = 0.0
    for members in run.groups(examples, range(len(examples)))[run.strategy.rank :: run.strategy.world]:
        part, part_weight = run.loss([examples[index] for index in members])
        loss_sum += float(part)
        weight += part_weight
    loss_sum, weight = run.strategy.total([loss_sum, weight])
    if not math.isfinite(loss_sum):
        raise Diverged(
            f"the held-out loss is {loss_sum / weight:.3g}: lower hyperparameters.learningRate (it is {run.spec.hyperparameters.learning_rate:g})."
        )
    return loss_sum / weight


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
