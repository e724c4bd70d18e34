"""The training loop, read from top to bottom.

A step is B examples out of an epoch's order, which is drawn by (seed, epoch) whatever the hardware: they are packed into micro-batches, which are
dealt to the ranks. Every task returns (loss_sum, weight); this loop alone divides, by the weight of the whole step.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skipjack.api.v1alpha1.learning import Scheduler
from skipjack.mixture import Mixture
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.resolved import camel

from ..data.example import Example
from ..errors import DataInvalid, Diverged, Interrupted
from ..methods import METHODS
from ..tasks import Recipe, Subject
from ..tasks.base import BASELINE
from .batches import grouped
from .best import gives_up, is_due, judged
from .checkpoint import Checkpoints, State
from .noise import noised
from .objective import trained
from .order import draw_seed, heldout_seed, step_examples
from .peers import Peers
from .scale import LossScale
from .stop import Stop
from .strategies import Strategy


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


@dataclass(frozen=True, slots=True)
class Trainee:
    """Everything that one run is made of."""

    spec: ResolvedSpec
    train: Sequence[Example]
    validation: Sequence[Example]
    strategy: Strategy
    tokenizer: Any = None
    labels: tuple[str, ...] = ()
    weighted: Mixture | None = None
    """How often the training examples are seen; None: each once an epoch."""

    @property
    def mixture(self) -> Mixture:
        return self.weighted or Mixture.plain(len(self.train))

    @property
    def recipe(self) -> Recipe:
        return self.strategy.objective.recipe

    @property
    def subject(self) -> Subject:
        """The model as it is now, to be asked."""
        objective, shared_out = self.strategy.objective, self.strategy.ranks_go_together and self.peers.world > 1
        return Subject(
            self.model, self.tokenizer, self.spec, self.labels, objective.device, objective.autocast, shared_out
        )

    @property
    def model(self) -> Any:
        return self.strategy.objective.model

    @property
    def peers(self) -> Peers:
        return self.strategy.peers

    def groups(self, examples: Sequence[Example], indices: Sequence[int]) -> list[list[int]]:
        """The indices in micro-batches."""
        return grouped(examples, indices, self.spec, self.model.config)

    def share(self, examples: Sequence[Example], indices: Sequence[int]) -> list[tuple[list[int], bool]]:
        """This rank's micro-batches, every world-th one, and whether each counts.

        Where ranks go together, those with fewer fill up with one that doesn't: the shortest example, learnt from with weight 0.
        """
        groups, world = self.groups(examples, indices), self.peers.world
        mine = [(members, True) for members in groups[self.peers.rank :: world]]
        if self.strategy.ranks_go_together:
            shortest = min(indices, key=lambda index: len(examples[index]))
            mine += [([shortest], False)] * (math.ceil(len(groups) / world) - len(mine))
        return mine

    def loss(self, examples: Sequence[Example], seeds: Sequence[int] = ()) -> tuple[torch.Tensor, float]:
        """`seeds`: one an example, for a loss that draws."""
        batch = self.recipe.batch(examples, self.spec.dataset.packing, self.strategy.objective.device)
        return self.strategy(self.recipe.seeded(batch, seeds))


def make_optimizer(model: Any, spec: ResolvedSpec) -> torch.optim.Optimizer:
    settings, factor_of = spec.hyperparameters, METHODS[spec.method.type].rate_factor
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in trained(model):
        groups.setdefault(factor_of(name, spec), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "rate_factor": times} for times, parameters in groups.items()],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )


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


@torch.no_grad()
def measured(run: Trainee, examples: Sequence[Example], indices: Sequence[int]) -> dict[str, NDArray[np.float32]]:
    """What stands beside each of the examples for recipes whose loss measures against all of them."""
    survey = run.recipe.baseline(run.spec)
    if survey is None:
        return {}
    run.model.eval()
    mine = 0.0
    for members, counts in run.share(examples, indices):
        mine += counts * float(survey(run.subject, [examples[index] for index in members]).sum(dtype=np.float64))
    (total,) = run.peers.total([mine])
    return {BASELINE: np.array([total / len(indices)], np.float32)}


@torch.no_grad()
def evaluate(run: Trainee, examples: Sequence[Example]) -> dict[str, float]:
    """The measures of the task over all ranks, by `Metric.key`; `loss` is in nats a learnt token, or the
    squared error of a picture's noise. Draws nothing from any generator.

    Raises Diverged.
    """
    run.model.eval()
    baseline = measured(run, examples, range(len(examples)))
    loss_sum = weight = 0.0
    said: dict[int, Any] = {}
    for members, counts in run.share(examples, range(len(examples))):
        batch = [examples[index].with_beside(**baseline) for index in members]
        part, part_weight = run.loss(batch, [heldout_seed(index) for index in members])
        predictions = run.recipe.predict(run.subject, batch) if run.recipe.predict else [None] * len(batch)
        if counts:
            loss_sum += float(part)
            weight += part_weight
            said |= zip(members, predictions, strict=True)
    loss_sum, weight = run.peers.total([loss_sum, weight])
    if not math.isfinite(loss_sum):
        raise Diverged(
            f"the held-out loss is {loss_sum / weight:.3g}: lower hyperparameters.learningRate (it is {run.spec.hyperparameters.learning_rate:g})."
        )
    measures = {"loss": loss_sum / weight}
    if run.recipe.predict:
        everyones = {index: told for part in run.peers.everyones(said) for index, told in part.items()}
        measures |= run.recipe.score(examples, [everyones[index] for index in range(len(examples))], run.labels)
    # One word for all: what is decided by it must be decided alike on machines that add up otherwise.
    return run.peers.everyones(measures)[0]


@torch.no_grad()
def answers(run: Trainee) -> list[str]:
    """One answer to each of the spec's prompts, on rank 0; all ranks must ask. Draws nothing from any generator."""
    if run.recipe.answer is None or (run.peers.rank > 0 and not run.strategy.ranks_go_together):
        return []
    run.model.eval()
    recipe, said = run.recipe.answer, []
    for number, prompt in enumerate(run.spec.evaluation.prompts):
        with drawing(run.strategy.objective.device, run.spec.hyperparameters.seed, number):
            said.append(recipe(run.subject, prompt))
    return said


@contextmanager
def drawing(device: torch.device, seed: int, number: int) -> Iterator[None]:
    """Within it generators begin by the seed and the prompt's number, whatever the rank; after it they are as before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else [], device_type="cuda"):
        torch.manual_seed(draw_seed(seed, number, 0))
        yield


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
