"""The second half of resolving: what only the data tells."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

from ..api.v1alpha1.dataset import RowFormat, Task
from ..mixture import Mixture
from ..preference import LOSSES
from ..tasks import TASKS
from .method import default_of_type
from .preference import told_by_data
from .resolved import ResolvedSpec

LONGEST_BY_DEFAULT = 4096
"""Tokens. Longer examples are cut unless maxLength says otherwise: attention's cost is known up to here on every family."""

BATCH_BY_DEFAULT = 16
STEPS_WORTH_HAVING = 30
"""A run of fewer optimiser steps barely leaves warm-up: small data gets smaller batches instead."""

MICRO_BATCH_TOKENS_CPU = 1024
"""More is a little faster and takes more memory: 512, 1,024, 2,048, 4,096 gave 840, 840, 890, 1,020 tokens a CPU-second at best of two runs
each on a busy machine, and peaks of 1,735, 1,815, 2,110, 2,160 MiB (58 M parameters, LoRA, `make bench-trainer BENCH="--micro-batch-tokens …"`)."""
MICRO_BATCH_TOKENS_ACCELERATOR = 8192

MICRO_BATCH_PIXELS_CPU = 512 * 512
MICRO_BATCH_PIXELS_ACCELERATOR = 4 * 512 * 512
"""Of pictures, which cost by their pixels and not by the tokens of their captions: one, or four, of Stable Diffusion 1's own size."""


@dataclass(frozen=True, slots=True)
class DataFacts:
    """What was found in the data, and what the model allows. Lengths and totals in tokens."""

    task: Task
    train_rows: int
    validation_rows: int
    longest_tokens: int
    total_tokens: int
    context_length: int | None
    model_can_pack: bool
    layouts: tuple[str, ...] = ()
    """How rows were found to be laid out."""
    mixture: Mixture | None = None
    """Of the training rows, where some are seen more or less often than once an epoch."""
    resolution: int | None = None
    """Pixels of the width and height of pictures, where there are some."""


def resolve_data(spec: ResolvedSpec, facts: DataFacts) -> ResolvedSpec:
    """`spec` with nothing left open. What the person said stays. Pure and total for facts with at least one row."""
    own = spec.hyperparameters
    decided: dict[str, tuple[Any, str]] = {}

    if spec.task is None:
        decided["task"] = facts.task.value, f"told by the data{': ' if facts.layouts else ''}{', '.join(facts.layouts)}"
    task = TASKS[facts.task]
    if spec.evaluation.metric is None:
        decided["evaluation.metric"] = task.metrics[0].value, f"default of {facts.task.value}"
    by_method = default_of_type(spec.method.type)
    factor, learnt = task.learning_rate_factor, facts.task.value
    if facts.task is Task.PREFERENCE and spec.preference is None:
        is_paired = RowFormat.PROMPT_COMPLETION_LABEL.value not in facts.layouts
        spec = spec.deciding(told_by_data(is_paired))
    if facts.task is Task.PREFERENCE and spec.preference is not None:
        factor, learnt = LOSSES[spec.preference.loss].learning_rate_factor, f"{learnt} by {spec.preference.loss.value}"
    if factor != 1 and spec.origins["hyperparameters.learning_rate"] == by_method:
        decided["hyperparameters.learning_rate"] = own.learning_rate * factor, f"{by_method} for {learnt}"
    max_length = own.max_length
    if max_length is None:
        bound = min(LONGEST_BY_DEFAULT, facts.context_length or LONGEST_BY_DEFAULT)
        max_length = max(1, min(facts.longest_tokens, bound))
        why = (
            "the longest example"
            if max_length == facts.longest_tokens
            else "the model's context"
            if facts.context_length == bound
            else "default"
        )
        decided["hyperparameters.max_length"] = max_length, f"{why}: {facts.longest_tokens} tokens is the longest"
    batch = own.global_batch_size
    mixture = facts.mixture or Mixture.plain(facts.train_rows)
    if batch is None:
        seen = mixture.epoch_rows * (own.epochs or 1.0)
        batch = BATCH_BY_DEFAULT if own.max_steps else max(1, min(BATCH_BY_DEFAULT, int(seen // STEPS_WORTH_HAVING)))
        decided["hyperparameters.global_batch_size"] = (
            batch,
            f"{facts.train_rows} rows, at least {STEPS_WORTH_HAVING} steps, at most {BATCH_BY_DEFAULT}",
        )
    steps = own.max_steps
    if steps is None:
        steps = max(1, ceil(mixture.seen_in(own.epochs or 1.0) / batch))
        decided["hyperparameters.max_steps"] = (
            steps,
            f"{own.epochs:g} epochs of {mixture.epoch_rows:.10g} rows, {batch} a step",
        )
    every = spec.checkpoint.every_steps
    if every is None:
        every = max(1, ceil(steps / 10))
        decided["checkpoint.every_steps"] = every, "a tenth of all steps"
    if spec.evaluation.every_steps is None and spec.evaluation.watches:
        decided["evaluation.every_steps"] = every, "as often as a checkpoint"
    on_cpu = spec.compute.accelerators_per_node == 0
    if facts.resolution is not None:
        decided |= _of_pictures(spec, facts.resolution, max_length, on_cpu)
    elif spec.compute.micro_batch_tokens is None:
        budget = MICRO_BATCH_TOKENS_CPU if on_cpu else MICRO_BATCH_TOKENS_ACCELERATOR
        decided["compute.micro_batch_tokens"] = (
            max(budget, max_length),
            "default for a CPU" if on_cpu else "default for an accelerator",
        )
    if spec.dataset.packing and not task.packs:
        decided["dataset.packing"] = False, f"off: rows for {facts.task.value} are not packed"
    elif spec.dataset.packing and not facts.model_can_pack:
        decided["dataset.packing"] = False, "off: this model can't keep packed rows apart"
    return spec.deciding(decided)


def _of_pictures(spec: ResolvedSpec, resolution: int, caption_tokens: int, on_cpu: bool) -> dict[str, tuple[Any, str]]:
    """What the size of pictures decides. All captions are equally long."""
    decided: dict[str, tuple[Any, str]] = {}
    if spec.dataset.resolution is None:
        decided["dataset.resolution"] = resolution, "what the model draws"
    if spec.compute.micro_batch_tokens is None:
        pixels = MICRO_BATCH_PIXELS_CPU if on_cpu else MICRO_BATCH_PIXELS_ACCELERATOR
        count = max(1, pixels // resolution**2)
        told = f"captions of {count} pictures of {resolution} x {resolution}, default for {'a CPU' if on_cpu else 'an accelerator'}"
        decided["compute.micro_batch_tokens"] = count * caption_tokens, told
    return decided
