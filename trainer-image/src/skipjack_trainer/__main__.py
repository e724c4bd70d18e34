"""The trainer's entry: runs an attempt, and turns however it ends into an exit code and a termination message."""

from __future__ import annotations

import errno
import os
import sys
import traceback

from skipjack.protocol import ExitCode, FailureReason, Result

from .engine.stop import Stop
from .errors import TrainerError
from .last_word import leave
from .launch import WORKER, launch
from .libraries import leave_out_unused
from .pod import Pod


def main() -> ExitCode:
    pod = Pod.from_environment()
    stop = Stop()
    stop.on_sigterm(lambda: leave_at_once(pod))
    try:
        spec = pod.spec()
        if spec.compute.nodes * spec.compute.processes_per_node > 1 and WORKER not in sys.argv:
            return launch(pod, spec)
        leave_out_unused(spec)
        from .run import run

        result = run(pod, stop)
    except Exception as error:  # noqa: BLE001 -- the last stop: whatever it is becomes an exit code and is told in full
        reason, message = explain(error)
        if reason is FailureReason.TRAINER_ERROR:
            traceback.print_exc()
        print(f"{reason.value}: {message}", file=sys.stderr, flush=True)
        return leave(pod.termination_path, Result(reason=reason, message=message))
    # Rank 0 alone knows where the result is; its pod's other processes would write over that.
    return leave(pod.termination_path, result) if pod.speaks else ExitCode.OK


def leave_at_once(pod: Pod) -> None:
    """Ends the process before its first step or after its last, whatever it is doing."""
    message = (
        "asked to stop before the first step, or after the last: there was nothing to save, "
        "the next attempt begins where this one did."
    )
    print(f"{FailureReason.INTERRUPTED.value}: {message}", file=sys.stderr, flush=True)
    os._exit(leave(pod.termination_path, Result(reason=FailureReason.INTERRUPTED, message=message)))


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
            f"{str(error) or 'memory ran out'}. Take a larger nodeType, or a smaller maxLength or compute.microBatchTokens.",
        )
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or os.strerror(errno.ENOSPC) in str(error):
        place = getattr(error, "filename", None) or "the pod's scratch volume"
        return FailureReason.NO_SPACE, f"no space is left on {place}: make room, or take a nodeType with more."
    return FailureReason.TRAINER_ERROR, f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: everything is stored and said, and tearing down a gang's sockets has killed processes after that by a signal.
    os._exit(code)
