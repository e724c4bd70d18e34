"""From a process's start to its first step: `python -m tests.bench.startup [TIMES]`.

A tiny LoRA job, as a pod starts it, in turn with a process that only imports the libraries which that job uses (and one that
imports them as they come). Seconds on the clock and of CPU, the medians of TIMES rounds. The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.trainer import tiny
from tests.trainer.gangs import ends, until

AS_THEY_COME = "import torch, peft, pydantic, requests, huggingface_hub; from transformers import LlamaForCausalLM"
NEEDED = f"import sys; sys.modules['bitsandbytes'] = None; {AS_THEY_COME}"


class Seconds(NamedTuple):
    clock: float
    cpu: float


def used(process: subprocess.Popen[str], started: float) -> Seconds:
    """What the process has used up to now."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
    return Seconds(time.monotonic() - started, sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK"))


def imports(code: str) -> Seconds:
    started = time.monotonic()
    command = [sys.executable, "-c", f"{code}; print('imported', flush=True); input()"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    until(process, "imported")
    seconds = used(process, started)
    process.communicate("\n")
    return seconds


def first_step(pod: Path) -> Seconds:
    shutil.rmtree(pod / "mnt/claims/models/out", ignore_errors=True)
    shutil.rmtree(pod / "scratch/prepared", ignore_errors=True)
    started = time.monotonic()
    process = tiny.start(pod, PYTHONUNBUFFERED="1")
    until(process, "step 1/")
    seconds = used(process, started)
    code, output = ends(process)
    if code:
        raise SystemExit(output)
    return seconds


def main(times: int) -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        pod = tiny.furnish(Path(folder), tiny.resolved())
        rounds = [(imports(NEEDED), first_step(pod), imports(AS_THEY_COME)) for _ in range(times)]
    told: dict[str, float] = {}
    for unit in Seconds._fields:
        needed, stepped, as_they_come = (
            statistics.median(getattr(seconds, unit) for seconds in some) for some in zip(*rounds, strict=True)
        )
        beyond = statistics.median(getattr(step, unit) - getattr(libraries, unit) for libraries, step, _ in rounds)
        print(
            f"{unit} seconds: process start → libraries imported {needed:.2f} → first step {stepped:.2f} "
            f"(libraries as they come, unused ones too: {as_they_come:.2f})"
        )
        told |= {
            f"{unit}_seconds_to_first_step_beyond_imports": beyond, f"{unit}_seconds_to_first_step": stepped,
            f"{unit}_seconds_of_imports": needed, f"{unit}_seconds_of_imports_as_they_come": as_they_come,
        }  # fmt: skip
    told["seconds_to_first_step_beyond_imports"] = told["clock_seconds_to_first_step_beyond_imports"]
    print(json.dumps({name: round(seconds, 2) for name, seconds in told.items()}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
