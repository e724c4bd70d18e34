"""One attempt, from spec to stored result:
spec → storage (fetch) → data (check, render, pack) → model (load) → method (attach) → engine (train) → export → storage (put).
"""

from __future__ import annotations

import fcntl
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from skipjack.protocol import Result, Sample

from .data.prepare import Prepared, prepare
from .engine.checkpoint import Checkpoints, State, trained
from .engine.loop import Told, Trainee, evaluate, make_optimizer, train
from .engine.stop import Stop
from .engine.strategy import join
from .export.card import Story, write_card
from .export.output import open_output
from .methods import METHODS
from .model import can_pack, context_length, fetch_model, load_model, load_tokenizer, read_config
from .pod import Pod
from .progress import Poster, Reporter, Silent


def run(pod: Pod, stop: Stop) -> Result:
    """Runs this process's part of the attempt. Raises TrainerError."""
    spec = pod.spec()
    access = pod.access(spec)
    device = torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")
    strategy = join(device)
    output = open_output(spec, access)
    done = output.finished()
    strategy.barrier()
    if done is not None:
        strategy.leave()
        say(f"this job's result is stored already: {done.output_uri}")
        return done

    reporter: Reporter = Silent()
    if strategy.rank == 0 and pod.progress_url:
        reporter = Poster(pod.progress_url, pod.token_path, stop)
    try:
        with in_turn(access.scratch):
            folder = fetch_model(spec, access)
            config, tokenizer = read_config(folder), load_tokenizer(folder)
            prepared = prepare(spec, tokenizer, access, context_length(config), can_pack(config))
        spec = prepared.spec
        for value in spec.told():
            say(f"{value.field} = {value.value}  ({value.origin})")
        reporter.tell(first_sample(pod, prepared))

        model = METHODS[spec.method.type](load_model(folder, spec, device), spec)
        trainee = Trainee(model, spec, prepared.train, prepared.validation, strategy, device)
        checkpoints = Checkpoints(
            output.store, output.checkpoints, pod.attempt, spec.checkpoint.keep, access.scratch / "checkpoint"
        )
        result, exported = attempt(trainee, tokenizer, checkpoints, pod, stop, reporter, access.scratch / "export")
        if strategy.rank == 0:
            checkpoints.check_fence()
            result = output.store_result(exported, result)
            checkpoints.clear()
            say(f"stored {result.output_uri} ({result.output_digest})")
        strategy.leave()
        return result
    finally:
        reporter.close()


def attempt(
    run: Trainee, tokenizer: Any, checkpoints: Checkpoints, pod: Pod, stop: Stop, reporter: Reporter, export: Path
) -> tuple[Result, Path]:
    """Resumes or begins, trains, measures, and writes the result into the folder `export`."""
    optimizer = make_optimizer(run.model, run.spec)
    leads = run.strategy.rank == 0
    if leads:
        checkpoints.raise_fence()
    run.strategy.barrier()
    state = checkpoints.restore(run.model, optimizer)
    if state is not None:
        say(f"going on from the checkpoint of step {state.step}")
        before = state.best
        answers_before = [""] * len(run.spec.evaluation.prompts)
    else:
        before = {"heldout_loss_before": evaluate(run, run.validation)} if run.validation else {}
        state = State(0, [], before)
        answers_before = answers(run, tokenizer) if leads else []

    started = time.monotonic()
    ended = train(run, optimizer, checkpoints, state, stop, lambda told: report(told, pod, reporter))
    seconds = time.monotonic() - started

    metrics = dict(before)
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
    if leads:
        told = list(zip(run.spec.evaluation.prompts, answers_before, answers(run, tokenizer), strict=True))
        for prompt, old, new in told:
            say(f"asked:  {prompt}\n  before: {old.strip()}\n  after:  {new.strip()}")
        export.mkdir(parents=True, exist_ok=True)
        run.model.save_pretrained(export)
        tokenizer.save_pretrained(export)
        write_card(Story(run.spec, ended.curve, metrics, told), export)
    steps = run.spec.hyperparameters.max_steps or 0
    return Result(message=sentence(metrics, ended.step), step=ended.step, steps=steps, metrics=metrics), export


@torch.no_grad()
def answers(run: Trainee, tokenizer: Any) -> list[str]:
    """Greedy answers to the spec's prompts. Draws nothing from any generator."""
    run.model.eval()
    said = []
    for prompt in run.spec.evaluation.prompts:
        if tokenizer.chat_template:
            chat = [{"role": "user", "content": prompt}]
            ids = tokenizer.apply_chat_template(
                chat, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            )["input_ids"]
        else:
            ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        ids = ids.to(run.device)
        with run.autocast():
            out = run.model.generate(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=run.spec.evaluation.max_new_tokens,
                do_sample=False,
                use_cache=True,
                pad_token_id=tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id,
            )
        said.append(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    return said


def first_sample(pod: Pod, prepared: Prepared) -> Sample:
    """What the data decided, told before the first step."""
    steps = prepared.spec.hyperparameters.max_steps or 0
    return Sample(
        attempt=pod.attempt,
        step=0,
        steps=steps,
        epoch=0.0,
        phase="Preparing",
        resolved=list(prepared.spec.told()),
        facts=prepared.facts,
    )


def report(told: Told, pod: Pod, reporter: Reporter) -> None:
    say(f"step {told.step}/{told.steps}  loss {told.loss:.4f}  {told.tokens_per_second:.0f} tokens/s")
    reporter.tell(
        Sample(
            attempt=pod.attempt,
            step=told.step,
            steps=told.steps,
            epoch=told.epoch,
            loss=told.loss,
            learning_rate=told.learning_rate,
            tokens_per_second=told.tokens_per_second,
            eta_seconds=told.eta_seconds,
            heldout_loss=told.heldout_loss,
            checkpoint_step=told.checkpoint_step,
            phase="Exporting" if told.step == told.steps else "Training",
        )
    )


def sentence(metrics: dict[str, float], step: int) -> str:
    if "heldout_loss_after" in metrics:
        return f"{step} steps; held-out loss {metrics['heldout_loss_before']:.3f} before, {metrics['heldout_loss_after']:.3f} after."
    return f"{step} steps; training loss {metrics['train_loss']:.3f} at the end."


def peak_memory_mib(device: torch.device) -> float:
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


def local_rank() -> int:
    return int(os.environ.get("LOCAL_RANK", "0"))


def say(line: str) -> None:
    print(line, flush=True)
