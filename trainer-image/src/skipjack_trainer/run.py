"""One attempt, from spec to stored result:
spec → storage (fetch) → data (check, render, pack) → model (load) → method (attach) → engine (train) → export → storage (put).
"""

from __future__ import annotations

import fcntl
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from skipjack.protocol import Result

from .answers import answers
from .data.example import fingerprint
from .data.prepare import prepare
from .data.sources import fetch
from .engine.checkpoint import Before, Checkpoints, State, trained
from .engine.loop import Told, Trainee, evaluate, make_optimizer, train
from .engine.stop import Stop
from .engine.strategy import join
from .errors import DataInvalid, StorageFailed
from .export.card import Story, write_card
from .export.output import open_output
from .fast import quicken
from .methods import METHODS
from .model import can_pack, context_length, fetch_model, load_model, load_tokenizer, read_config
from .pod import Pod
from .progress import Poster, Reporter, Silent
from .tell import first_sample, nothing, say, sentence, step_line, step_sample


def run(pod: Pod, stop: Stop) -> Result:
    """Runs this process's part of the attempt. Raises TrainerError."""
    spec = pod.spec()
    access = pod.access(spec)
    device = place_of(pod)
    strategy = join()
    leads = strategy.rank == 0
    tell = say if leads else nothing
    if strategy.world > 1:
        say(f"joined as rank {strategy.rank} of {strategy.world}")
    output = open_output(spec, access)
    done = output.finished()
    strategy.barrier()
    if done is not None:
        strategy.leave()
        tell(f"this job's result is stored already: {done.output_uri}")
        return done

    reporter: Reporter = Poster(pod.progress_url, pod.token_path, stop) if leads and pod.progress_url else Silent()
    try:
        with in_turn(access.scratch):
            folder, spec = fetch_model(spec, access)
            sources = fetch(spec, access)
        config, tokenizer = read_config(folder), load_tokenizer(folder)
        prepared = prepare(spec, sources, tokenizer, context_length(config), can_pack(config))
        spec = prepared.spec
        for uri, layout in prepared.layouts.items():
            tell(f"{uri}: rows laid out as {layout.value}")
        for value in spec.told():
            tell(f"{value.field} = {value.value}  ({value.origin})")
        reporter.tell(first_sample(pod.attempt, prepared))

        model = quicken(METHODS[spec.method.type](load_model(folder, spec, device), spec))
        trainee = Trainee(model, spec, prepared.train, prepared.validation, strategy, device)
        checkpoints = Checkpoints(
            output.store, output.checkpoints, pod.attempt, spec.checkpoint.keep, access.scratch / "checkpoint", tell
        )
        optimizer, state = begin(trainee, tokenizer, checkpoints, tell)

        def follow(told: Told) -> None:
            tell(step_line(told))
            reporter.tell(step_sample(pod.attempt, told))

        tell("training starts")
        started = time.monotonic()
        ended = train(trainee, optimizer, checkpoints, state, stop, follow)
        result = finish(trainee, tokenizer, ended, time.monotonic() - started, access.scratch / "export", tell)
        if leads:
            checkpoints.check_fence()
            result = output.store_result(access.scratch / "export", result)
            checkpoints.clear()
            tell(f"stored {result.output_uri} ({result.output_digest})")
        strategy.leave()
        return result
    finally:
        reporter.close()


def begin(
    run: Trainee, tokenizer: Any, checkpoints: Checkpoints, tell: Callable[[str], None]
) -> tuple[torch.optim.Optimizer, State]:
    """Resumes from the newest checkpoint, or measures the untouched model."""
    optimizer = make_optimizer(run.model, run.spec)
    leads = run.strategy.rank == 0
    if leads:
        checkpoints.raise_fence()
    run.strategy.barrier()
    state = checkpoints.restore(run.model, optimizer)
    step = state.step if state else 0
    if run.strategy.total([float(step)]) != [float(step * run.strategy.world)]:
        raise StorageFailed(
            f"the ranks read different checkpoints (rank {run.strategy.rank} that of step {step}): is the storage the same for all pods?"
        )
    data = fingerprint(run.train)
    if state is None:
        metrics = {"heldout_loss_before": evaluate(run, run.validation)} if run.validation else {}
        state = State(0, [], Before(metrics, answers(run, tokenizer) if leads else [], data))
    elif state.before.data != data:
        raise DataInvalid(
            "dataset.train: its rows are others than those that the checkpoint was trained on: bring them back, or create a new job."
        )
    else:
        tell(f"going on from the checkpoint of step {step}")
    # The others wait here for rank 0's answers: a step would not wait for long.
    run.strategy.barrier()
    return optimizer, state


def finish(
    run: Trainee, tokenizer: Any, ended: State, seconds: float, export: Path, tell: Callable[[str], None]
) -> Result:
    """Measures the trained model; rank 0 writes it and its story into the folder `export`."""
    metrics = dict(ended.before.metrics)
    if run.validation:
        metrics["heldout_loss_after"] = evaluate(run, run.validation)
    metrics |= {
        "train_loss": ended.curve[-1]["loss"],
        "trainable_parameters": float(sum(p.numel() for _, p in trained(run.model))),
        "total_parameters": float(sum(p.numel() for p in run.model.parameters())),
        "training_seconds": round(seconds, 2),
        "tokens": float(sum(entry["tokens"] for entry in ended.curve)),
        "peak_memory_mib": round(peak_memory_mib(run.device), 1),
    }
    if run.strategy.rank == 0:
        told = list(zip(run.spec.evaluation.prompts, ended.before.answers, answers(run, tokenizer), strict=True))
        for prompt, old, new in told:
            tell(f"asked:  {prompt}\n  before: {old.strip()}\n  after:  {new.strip()}")
        export.mkdir(parents=True, exist_ok=True)
        run.model.save_pretrained(export)
        tokenizer.save_pretrained(export)
        write_card(Story(run.spec, ended.curve, metrics, told), export)
    steps = run.spec.hyperparameters.max_steps or 0
    return Result(message=sentence(metrics, ended.step, steps), step=ended.step, steps=steps, metrics=metrics)


def place_of(pod: Pod) -> torch.device:
    """The device of this process."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(pod.local_rank)
    return torch.device("cuda", pod.local_rank)


def peak_memory_mib(device: torch.device) -> float:
    """Of this process: what the allocator held on an accelerator, what was resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def in_turn(scratch: Path) -> Iterator[None]:
    """One process of a pod at a time: they fetch into the same folder, where two would write into each other's files."""
    scratch.mkdir(parents=True, exist_ok=True)
    with (scratch / "fetching.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
