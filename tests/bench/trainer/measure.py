"""One contender's process, watched from outside: what it says, what it uses."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .rivals import STARTS

STEP = re.compile(r"step (\d+)/(\d+)  loss ([\d.]+)")
DEVICE_MEMORY = re.compile(r"peak memory ([\d.]+) MiB")


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of processors and of the clock."""

    cpu: float
    wall: float

    def since(self, before: Used) -> Used:
        return Used(self.cpu - before.cpu, self.wall - before.wall)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run took. `training`: from the line that training starts to that of the last step; `whole`: process start to end."""

    training: Used
    whole: Used
    first_step: Used
    """From the process's start to the end of its first step."""
    resident_mib: float
    """The most that the process held of the machine's memory up to its last step."""
    device_mib: float
    """The most that it held of an accelerator's, as it tells; what it told of the machine's where there is none."""
    losses: tuple[float, ...]


class Failed(Exception):
    """A contender that ended with an error; its last lines."""


def measure(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Measured:
    """Runs `command` to its end. Raises Failed."""
    began = time.monotonic()
    with log.open("w") as errors:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True)
    assert process.stdout is not None
    starts = first = last = None
    losses: list[float] = []
    resident_mib = device_mib = 0.0
    for line in process.stdout:
        if line.startswith(STARTS):
            starts = used(process.pid, began)
        elif step := STEP.match(line):
            last, resident_mib = used(process.pid, began), max(resident_mib, held_mib(process.pid))
            first = first or last
            losses.append(float(step[3]))
        elif held := DEVICE_MEMORY.match(line):
            device_mib = float(held[1])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or starts is None or first is None or last is None:
        raise Failed(f"exit code {process.returncode}: {log.read_text()[-2000:]}")
    return Measured(
        training=last.since(starts),
        whole=Used(usage.ru_utime + usage.ru_stime, time.monotonic() - began),
        first_step=first,
        resident_mib=resident_mib,
        device_mib=device_mib,
        losses=tuple(losses),
    )


def used(pid: int, began: float) -> Used:
    """What the process has used until now, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Used((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), time.monotonic() - began)


def held_mib(pid: int) -> float:
    """The most that the process has held of the machine's memory; 0 once it has ended. Not getrusage's, which begins with what
    its parent held."""
    told = re.search(r"VmHWM:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(told[1]) / 1024 if told else 0.0
