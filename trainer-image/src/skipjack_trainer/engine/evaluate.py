"""What a model says at some moment: held-out rows are measured, prompts are answered. Training's randomness never notices."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.example import Example
from ..errors import Diverged
from ..tasks.base import BASELINE
from .batches import chunks
from .order import draw_seed, heldout_seed
from .trainee import Trainee


@torch.no_grad()
def measured(run: Trainee, examples: Sequence[Example], indices: Sequence[int]) -> dict[str, NDArray[np.float32]]:
    """What stands beside each of the examples for recipes whose loss measures against all of them."""
    survey = run.recipe.baseline(run.spec)
    if survey is None:
        return {}
    run.model.eval()
    mine = 0.0
    for members, counts in shares(run, examples, indices):
        mine += counts * float(survey(run.subject, [examples[index] for index in members]).sum(dtype=np.float64))
    (total,) = run.peers.total([mine])
    return {BASELINE: np.array([total / len(indices)], np.float32)}


def shares(run: Trainee, examples: Sequence[Example], indices: Sequence[int]) -> Iterator[tuple[list[int], bool]]:
    """This rank's micro-batches of any number of examples, and whether each counts."""
    return (batch for some in chunks(indices) for batch in run.share(examples, some))


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
    for members, counts in shares(run, examples, range(len(examples))):
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
