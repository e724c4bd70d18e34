"""How a run ends: the trained model is measured and written, with its story."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import torch

from skipjack.protocol import Result

from .begin import heldout
from .engine.checkpoint import Checkpoints, State
from .engine.evaluate import answers
from .engine.trainee import Trainee
from .export.card import Story, write_card
from .export.needs import Ran, Size, needs, output_mib
from .export.result import write_result
from .integrations import write_files
from .tell import sentence


def bring_best(run: Trainee, checkpoints: Checkpoints, ended: State, tell: Callable[[str], None]) -> int:
    """Brings back the best weights where the spec keeps them; the step of those that there are now."""
    best = ended.best
    if best is None or best.step == ended.step or not run.spec.evaluation.keep_best:
        return ended.step
    if checkpoints.restore(run.strategy, best.step) is None:
        tell(
            f"the checkpoint of step {best.step}, the best, can't be read any more: the last step's weights are stored instead"
        )
        return ended.step
    return best.step


def finish(
    run: Trainee,
    ended: State,
    stored_step: int,
    base: Size,
    lineage: tuple[str, ...],
    seconds: float,
    export: Path,
    tell: Callable[[str], None],
) -> Result:
    """Measures the trained model; rank 0 writes it and its story into the folder `export`."""
    objective, peers = run.strategy.objective, run.peers
    peak = max(peers.everyones(peak_memory_mib(objective.device)))
    ran = Ran(base, objective.trainable_parameters, objective.total_parameters, ended.curve, peak, peers.world)
    metrics = ended.before.metrics | heldout(run, "after") | needs(run.spec, ran)
    metrics |= {"train_loss": ended.curve[-1]["loss"], "training_seconds": round(seconds, 2)}
    tell(f"peak memory {metrics['peak_memory_mib']:.1f} MiB")
    said = answers(run)
    with run.strategy.whole() as arguments:
        if peers.rank == 0:
            told = list(zip(run.spec.evaluation.prompts, ended.before.answers, said, strict=True)) if said else []
            for prompt, old, new in told:
                tell(f"asked:  {prompt}\n  before: {old.strip()}\n  after:  {new.strip()}")
            write_result(run.subject, run.recipe.head, export, arguments)
            metrics["output_mib"] = output_mib(export)
            drawn = run.recipe.illustrate(run.subject, export) if run.recipe.illustrate else []
            story = Story(run.spec, ended.curve, metrics, told, stored_step, lineage, drawn)
            write_card(story, export)
            write_files(story, export, export.with_name("trackers"), tell)
    steps = run.spec.hyperparameters.max_steps or 0
    message = sentence(run.spec, metrics, ended, stored_step)
    best = ended.best.step if ended.best else None
    return Result(
        message=message, step=ended.step, steps=steps, metrics=metrics, stored_step=stored_step, best_step=best
    )


def peak_memory_mib(device: torch.device) -> float:
    """Of this process: what the allocator held on an accelerator, what was resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
