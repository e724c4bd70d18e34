"""The trainer's entry: runs an attempt, and turns however it ends into an exit code and a termination message."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from pathlib import Path

from skipjack.protocol import ExitCode, FailureReason, Result

from .engine.stop import Stop
from .errors import TrainerError
from .launch import WORKER, launch
from .pod import Pod


def main() -> ExitCode:
    pod = Pod.from_environment()
    spec = pod.spec()
    gang = spec.compute.nodes * spec.compute.processes_per_node
    if gang > 1 and WORKER not in sys.argv:
        return launch(pod, spec)
    stop = Stop()
    stop.on_sigterm()
    try:
        from .run import run

        result = run(pod, stop)
    except Exception as error:  # noqa: BLE001 -- the last stop: whatever it is becomes an exit code and is told in full
        reason, message = explain(error)
        if reason is FailureReason.TRAINER_ERROR:
            traceback.print_exc()
        print(f"{reason.value}: {message}", file=sys.stderr, flush=True)
        if reason is not FailureReason.PEER_LOST or not told(pod.termination_path):
            leave(pod.termination_path, Result(reason=reason, message=message))
        return ExitCode.of(reason)
    leave(pod.termination_path, result)
    return ExitCode.OK


def explain(error: Exception) -> tuple[FailureReason, str]:
    """The reason and the sentence for an error."""
    if isinstance(error, TrainerError):
        return error.reason, str(error)
    if (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    ):
        return (
            FailureReason.OUT_OF_MEMORY,
            f"{error}. Take a larger nodeType, or a smaller maxLength or compute.microBatchTokens.",
        )
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or os.strerror(errno.ENOSPC) in str(error):
        place = getattr(error, "filename", None) or "the device"
        return FailureReason.NO_SPACE, f"no space is left on {place}: make room, or take a larger claim."
    return FailureReason.TRAINER_ERROR, f"{type(error).__name__}: {error}"


def told(path: Path) -> bool:
    """Whether another process of this pod has said why already: what a lost peer did matters more than that it was missed."""
    return path.is_file() and path.stat().st_size > 0


def leave(path: Path, result: Result) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(result.encode())


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: everything is stored and said, and tearing down a gang's sockets has killed processes after that by a signal.
    os._exit(code)
