"""`make bench-trainer`: Skipjack's trainer beside TRL's and transformers', on the same model, data, precision and batch.

Runs are interleaved, each in a fresh process; the table goes to standard output, its last line is one JSON object.
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

from .material import SHAPES, Shape, furnish
from .measure import Measured, measure
from .ours import MALLOC, pod
from .report import Entry, summary, table
from .rivals import rivals

OURS = "Skipjack"
DEFAULT, PLAIN = "TRL as it comes", "transformers Trainer"
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

    def run(self, name: str) -> None:
        number = sum(map(len, self.runs.values()))
        out = self.folder / f"out-{number}"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
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
            f"{name}: {took.training.cpu:.1f} CPU-s, {took.training.wall:.1f} s, {took.peak_mib:.0f} MiB, loss {took.losses[-1]:.3f}",
            file=sys.stderr,
        )
        self.runs.setdefault(name, []).append(took)
        self.outputs[name] = out

    def heldout(self) -> dict[str, float]:
        command = [sys.executable, "-m", "tests.bench.trainer.judge", str(self.folder), self.method]
        told = subprocess.run(
            [*command, *map(str, self.outputs.values())], check=True, stdout=subprocess.PIPE, text=True
        )
        losses = json.loads(told.stdout.splitlines()[-1])
        return {name: losses[str(out)] for name, out in self.outputs.items()}

    def seconds(self, name: str) -> float:
        took = self.runs[name][0].training
        return took.wall if self.has_gpu else took.cpu


def compare(bench: Bench, rivals_asked: Sequence[str]) -> list[Entry]:
    """All once, Skipjack after every third; then the fastest TRL and Skipjack in turn."""
    for number, name in enumerate(rivals_asked):
        if number % 3 == 0:
            bench.run(OURS)
        bench.run(name)
    tuned = [name for name in rivals_asked if name not in (DEFAULT, PLAIN)]
    best = min(tuned, key=bench.seconds)
    for _ in range(AGAIN):
        bench.run(OURS)
        bench.run(best)
    losses = bench.heldout()
    return [Entry(name, runs, losses[name], is_best=name == best) for name, runs in bench.runs.items()]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="make bench-trainer", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="llama-58m")
    parser.add_argument("--method", choices=("LoRA", "QLoRA", "Full"), default="LoRA")
    parser.add_argument("--rivals", nargs="*", help="names of rivals: all unless told")
    parser.add_argument("--micro-batch-tokens", type=int, help="Skipjack's compute.microBatchTokens")
    parser.add_argument("--out", type=Path, help="a file for the table")
    told = parser.parse_args(arguments)
    shape = SHAPES[told.shape]
    options = {"microBatchTokens": told.micro_batch_tokens} if told.micro_batch_tokens else {}
    folder = Path(tempfile.mkdtemp(prefix="bench-trainer-"))
    try:
        facts = furnish(folder, shape)
        bench = Bench(folder, shape, told.method, False, options)
        entries = compare(bench, told.rivals if told.rivals is not None else list(rivals(shape.batch)))
    finally:
        shutil.rmtree(folder)
    written = table(entries, facts)
    if told.out:
        told.out.write_text(written + "\n")
    print(written)
    print(json.dumps(summary(entries)))


if __name__ == "__main__":
    main()
