"""`make bench-trainer`: Skipjack's trainer beside TRL's and transformers', on the same model, data, precision and batch.

Runs are interleaved, each in a fresh process; tables go to standard output, its last line is one JSON object. With a GPU the
cases of `accelerator` follow the one on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import accelerator
from .material import SHAPES, Facts, Shape, furnish
from .measure import Failed, Measured, measure
from .ours import MALLOC, pod
from .report import DEFAULT, OURS, PLAIN, Entry, by_clock, summary, table
from .rivals import RANK, rivals

AGAIN = 2
"""Runs of Skipjack and of the fastest TRL after each has run once."""


@dataclass
class Bench:
    """One shape and method: the material, and every run on it."""

    folder: Path
    shape: Shape
    method: str
    has_gpu: bool
    options: dict[str, int]
    runs: dict[str, list[Measured]] = field(default_factory=dict)
    outputs: dict[str, Path] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    """Rivals that ended with an error, memory for example, and its last line."""

    def run(self, name: str) -> None:
        number = sum(map(len, self.runs.values()))
        out = self.folder / f"out-{number}"
        environment = self.environment
        if name == OURS:
            root = self.folder / "pods" / out.name
            pod(root, self.folder, self.method, self.shape.steps, self.shape.batch, self.has_gpu, self.options)
            command = [sys.executable, "-m", "skipjack_trainer"]
            environment |= MALLOC | {"SKIPJACK_ROOT": str(root)}
        else:
            told = [name, self.method, self.folder, out, self.shape.steps, self.shape.batch]
            command = [sys.executable, "-m", "tests.bench.trainer.rivals", *map(str, told)]
            environment |= MALLOC if rivals(self.shape.batch)[name].same_malloc else {}
        took = measure(command, environment, self.folder / "log.txt")
        print(
            f"{name}: {took.training.cpu:.1f} CPU-s, {took.training.wall:.1f} s, {took.resident_mib:.0f} MiB, loss {took.losses[-1]:.3f}",
            file=sys.stderr,
        )
        self.runs.setdefault(name, []).append(took)
        self.outputs[name] = out

    def heldout(self) -> dict[str, float]:
        command = [sys.executable, "-m", "tests.bench.trainer.judge", str(self.folder), self.method]
        told = subprocess.run(
            [*command, *map(str, self.outputs.values())],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        losses = json.loads(told.stdout.splitlines()[-1])
        return {name: losses[str(out)] for name, out in self.outputs.items()}

    def seconds(self, name: str) -> float:
        took = self.runs[name][0].training
        return took.wall if self.has_gpu else took.cpu

    @property
    def environment(self) -> dict[str, str]:
        """Without what sets the C library's allocator; on the CPU without a GPU in sight."""
        hidden = {} if self.has_gpu else {"CUDA_VISIBLE_DEVICES": ""}
        return {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")} | hidden


def compare(bench: Bench, rivals_asked: Sequence[str]) -> list[Entry]:
    """All once, Skipjack after every third; then the fastest TRL and Skipjack in turn."""
    for number, name in enumerate(rivals_asked):
        if number % 3 == 0:
            bench.run(OURS)
        try:
            bench.run(name)
        except Failed as error:
            bench.failed[name] = str(error).splitlines()[-1]
            print(f"{name}: {error}", file=sys.stderr)
    tuned = [name for name in rivals_asked if name in bench.runs and name not in (DEFAULT, PLAIN)]
    if not tuned:
        raise Failed("no TRL of the grid came to its end")
    best = min(tuned, key=bench.seconds)
    for _ in range(AGAIN):
        bench.run(OURS)
        bench.run(best)
    losses = bench.heldout()
    return [Entry(name, runs, losses[name], is_best=name == best) for name, runs in bench.runs.items()]


@dataclass(frozen=True)
class Result:
    """What a case gave."""

    entries: list[Entry]
    facts: Facts
    failed: dict[str, str]

    def told_failures(self) -> str:
        return "".join(f"\n\n{name} failed: {error}" for name, error in self.failed.items())


def run_case(shape: Shape, method: str, names: Sequence[str], has_gpu: bool, options: dict[str, int]) -> Result:
    folder = Path(tempfile.mkdtemp(prefix="bench-trainer-"))
    try:
        facts = furnish(folder, shape)
        budget = {"microBatchTokens": shape.micro_batch_tokens} if shape.micro_batch_tokens else {}
        bench = Bench(folder, shape, method, has_gpu, budget | options)
        return Result(compare(bench, names), facts, bench.failed)
    finally:
        shutil.rmtree(folder)


def gpu_name() -> str | None:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def on_gpu(
    device: str | None, wanted: Sequence[tuple[str, str]], options: dict[str, int]
) -> tuple[list[str], dict[str, float]]:
    """A passage for each of the cases, and the numbers of those that ran. Without a GPU: what would run."""
    passages, numbers = [], dict[str, float]()
    for name, method in wanted:
        title, shape = f"{name}, {method}", SHAPES[name]
        needs = accelerator.needs_gib(method, shape)
        if device is None:
            passages.append(
                f"{title}: skipped, there is no GPU; would run Skipjack and {', '.join(accelerator.RIVALS)}."
            )
            continue
        import torch

        there = torch.cuda.get_device_properties(0).total_memory / 2**30
        if needs > 0.85 * there:
            passages.append(
                f"{title}: skipped, weights and optimiser take {needs:.0f} GiB of the {there:.0f} there are."
            )
            continue
        try:
            result = run_case(shape, method, accelerator.RIVALS, True, options)
        except Failed as error:
            passages.append(f"{title} on {device}: Skipjack failed: {error}")
            continue
        trained = 0.0 if method == "Full" else accelerator.lora_parameters(shape, RANK)
        done = accelerator.work(shape, result.facts, trained)
        written = by_clock(result.entries, result.facts, done, device)
        passages.append(f"{title} on {device}:\n\n{written}{result.told_failures()}")
        told = summary(result.entries)
        numbers[f"{name}_{method}_speedup_vs_trl_best"] = told["wall_speedup_vs_trl_best"]
    return passages, numbers


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench-trainer", description=__doc__)
    parser.add_argument("--device", choices=("cpu", "gpu", "both"), default="both")
    parser.add_argument("--shape", choices=SHAPES, help="this one alone")
    parser.add_argument("--method", choices=("LoRA", "QLoRA", "Full"), help="this one alone")
    parser.add_argument("--rivals", nargs="*", help="names of rivals on the CPU: all unless told")
    parser.add_argument("--micro-batch-tokens", type=int, help="Skipjack's compute.microBatchTokens")
    parser.add_argument("--out", type=Path, help="a file for the tables")
    told = parser.parse_args(arguments)
    options = {"microBatchTokens": told.micro_batch_tokens} if told.micro_batch_tokens else {}
    passages: list[str] = []
    numbers: dict[str, float] = {}
    if told.device != "gpu":
        shape = SHAPES[told.shape or "llama-58m"]
        names = told.rivals if told.rivals is not None else list(rivals(shape.batch))
        result = run_case(shape, told.method or "LoRA", names, False, options)
        passages.append(table(result.entries, result.facts) + result.told_failures())
        numbers |= summary(result.entries)
    if told.device != "cpu":
        wanted = [
            case for case in accelerator.CASES if told.shape in (None, case[0]) and told.method in (None, case[1])
        ]
        more, speedups = on_gpu(gpu_name(), wanted, options)
        passages += more
        numbers |= speedups
    written = "\n\n".join(passages)
    if told.out:
        told.out.write_text(written + "\n")
    print(written)
    print(json.dumps(numbers))


if __name__ == "__main__":
    main()
