"""Several processes: torch's elastic agent, driven from here so that a worker's own exit code survives it."""

from __future__ import annotations

import sys

from skipjack.protocol import RENDEZVOUS_PORT, ExitCode, Result
from skipjack.resolve import ResolvedSpec

from .pod import Pod

WORKER = "--worker"
JOIN_TIMEOUT_SECONDS = 900
SAVE_SECONDS = 110
"""For workers to store a checkpoint after SIGTERM: under the pod's grace period, which is 120 s. Torch's own is 30."""


def launch(pod: Pod, spec: ResolvedSpec) -> ExitCode:
    """Runs this pod's workers to their end: the code of the first that failed."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=spec.compute.nodes,
        max_nodes=spec.compute.nodes,
        nproc_per_node=spec.compute.processes_per_node,
        run_id=f"{spec.job_uid}-{pod.attempt}",
        rdzv_backend="static",
        rdzv_endpoint=f"{pod.master}:{RENDEZVOUS_PORT}",
        rdzv_configs={"rank": pod.index, "timeout": JOIN_TIMEOUT_SECONDS},
        max_restarts=0,
        monitor_interval=0.5,
        shutdown_timeout=SAVE_SECONDS,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "skipjack_trainer", WORKER)
    except ChildFailedError as failed:
        code = failed.get_first_failure()[1].exitcode
        if code in set(ExitCode):
            return ExitCode(code)
        reason = ExitCode.OUT_OF_MEMORY if code == -9 else ExitCode.TRAINER_ERROR
        killed = (
            f"a training process was ended by signal {-code}" if code < 0 else f"a training process ended with {code}"
        )
        message = f"{killed}{': most often the memory limit; take a larger nodeType or a smaller maxLength' if code == -9 else ''}."
        pod.termination_path.parent.mkdir(parents=True, exist_ok=True)
        pod.termination_path.write_text(Result(reason=reason.reason, message=message).encode())
        return reason
    except SignalException:
        return ExitCode.INTERRUPTED
    return ExitCode.OK
