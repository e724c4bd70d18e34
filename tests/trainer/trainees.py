"""Builders of examples and of runs that stay in this process."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from tests.trainer import tiny

from skipjack.api.v1alpha1.dataset import Task
from skipjack.protocol import Result
from skipjack.resolve import DataFacts, ResolvedSpec, resolve_data
from skipjack_trainer.data.example import Example
from skipjack_trainer.engine.objective import Objective
from skipjack_trainer.engine.peers import Alone, Peers
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.strategies import STRATEGIES
from skipjack_trainer.engine.trainee import Trainee, make_optimizer
from skipjack_trainer.fast import quicken
from skipjack_trainer.methods import METHODS
from skipjack_trainer.model import attention_of, load_model, recomputing
from skipjack_trainer.pod import Pod
from skipjack_trainer.run import run
from skipjack_trainer.tasks import Recipe
from skipjack_trainer.tasks.causal import CAUSAL

CPU = torch.device("cpu")
VOCABULARY = 400


def example(length: int, seed: int, learnt: float = 0.6) -> Example:
    """Random tokens, the last `learnt` share of which count."""
    generator = np.random.default_rng(seed)
    weights = np.zeros(length, np.float32)
    weights[max(1, round(length * (1 - learnt))) :] = 1.0
    return Example(generator.integers(5, VOCABULARY, length).astype(np.int32), weights)


def examples(count: int) -> list[Example]:
    """Of lengths between 5 and 40."""
    return [example(5 + (7 * n) % 36, n) for n in range(count)]


def settled(rows: Sequence[Example], packing: bool = True, task: Task = Task.CHAT, **changes: Any) -> ResolvedSpec:
    """`tiny.resolved`, with nothing left open."""
    total = sum(len(row) for row in rows)
    facts = DataFacts(task, len(rows), 0, max(row.longest for row in rows), total, 256, packing)
    return resolve_data(tiny.resolved(task=task, **changes), facts)


def trainee(rows: Sequence[Example], family: str = "llama", packing: bool = True, **changes: Any) -> Trainee:
    return laid_out(settled(rows, packing, **changes), rows, Alone(), family)


def laid_out(
    told: ResolvedSpec,
    rows: Sequence[Example],
    peers: Peers,
    family: str = "llama",
    disk: Path = Path("/nowhere"),
    base: torch.dtype = torch.float32,
) -> Trainee:
    """A run of a tiny model over the rows, as `told` lays it out on the peers."""
    model = base_of(told, family, base)
    model.set_attn_implementation(attention_of(told, model.config))
    return attached(model, told, rows, peers, disk)


def attached(
    model: Any,
    told: ResolvedSpec,
    rows: Sequence[Example],
    peers: Peers,
    disk: Path = Path("/nowhere"),
    recipe: Recipe = CAUSAL,
) -> Trainee:
    """The same of a model of one's own."""
    model = quicken(METHODS[told.method.type].attach(model, told))
    if told.compute.gradient_checkpointing:
        model = recomputing(model)
    lay_out = STRATEGIES[told.compute.strategy]
    return Trainee(
        told, rows, [], lay_out(Objective(model, recipe, told, CPU), make_optimizer(model, told), told, peers, disk)
    )


def base_of(told: ResolvedSpec, family: str, dtype: torch.dtype) -> Any:
    """A tiny model, quantised where the method wants it to be."""
    return tiny.model(family).to(dtype) if told.method.quantization is None else load_model(stored(family), told, CPU)


@cache
def stored(family: str) -> Path:
    """A folder with a tiny model. To be called before ranks are forked: in a gang transformers has rank 0 alone write."""
    folder = Path(mkdtemp())
    tiny.model(family).save_pretrained(folder)
    return folder


def run_here(root: Path, attempt: int = 1, stop: Stop | None = None, progress_url: str | None = None) -> Result:
    """One attempt in the pod at `root`, in this process."""
    pod = Pod(attempt, 0, "localhost", progress_url, root)
    if progress_url:
        pod.token_path.parent.mkdir(parents=True, exist_ok=True)
        pod.token_path.write_text("token")
    return run(pod, stop or Stop())
