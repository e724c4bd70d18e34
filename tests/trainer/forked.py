"""The trainer's process, forked from the test's own: it begins at once, where importing torch takes seconds."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from subprocess import TimeoutExpired
from typing import NoReturn


class Forked:
    """What tests need of subprocess.Popen."""

    def __init__(self, pid: int, output: int) -> None:
        self.pid = pid
        self.stdout = os.fdopen(output, "r", errors="replace")
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if ended else None
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, None]:
        """What is left of its output, once it has ended and closed it."""
        end = time.monotonic() + timeout
        rest = self.stdout.read()
        while self.poll() is None:
            if time.monotonic() > end:
                raise TimeoutExpired("skipjack_trainer", timeout)
            time.sleep(0.01)
        self.stdout.close()
        return rest, None

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def start(root: Path, *arguments: str, **environment: str) -> Forked:
    """`python -m skipjack_trainer` with `arguments` in the pod at `root`."""
    heard, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(heard)
        trainer(said, arguments, {"SKIPJACK_ROOT": str(root), "MPLCONFIGDIR": str(root / "scratch")} | environment)
    os.close(said)
    return Forked(pid, heard)


def trainer(output: int, arguments: tuple[str, ...], environment: dict[str, str]) -> NoReturn:
    """The child: never comes back into the test."""
    try:
        paths = os.pathsep.join(path for path in sys.path if path)
        os.environ |= {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | environment
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1) for number in (1, 2))
        sys.argv = ["skipjack_trainer", *arguments]

        from skipjack_trainer.__main__ import main

        os._exit(main())
    except BaseException:  # noqa: BLE001 -- nothing may unwind into the test that was forked
        traceback.print_exc()
    os._exit(99)
