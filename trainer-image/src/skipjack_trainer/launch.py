"""Several processes: torch's elastic agent, driven from here so that a worker's own exit code survives it."""

from __future__ import annotations

import sys

from skipjack.protocol import RENDEZVOUS_PORT, ExitCode, FailureReason, Result
from skipjack.resolve import ResolvedSpec

from .last_word import leave, said
from .pod import Pod

WORKER = "--worker"
JOIN_TIMEOUT_SECONDS = 900
SAVE_SECONDS = 110
"""For workers to store a checkpoint after SIGTERM: under the pod's grace period, which is 120 s. Torch's own is 30."""
KILLED = -9


def launch(pod: Pod, spec: ResolvedSpec) -> ExitCode:
    """Runs this pod's workers to their end: the code of the first that failed. Raises PeerLost when other pods never came."""
    from torch.distributed import DistError
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    from .errors import PeerLost

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
        return ExitCode(code) if code in set(ExitCode) else leave(pod.termination_path, killed(code))
    except SignalException:
        # The workers were told, and have had their time: one that stored its result has not been interrupted.
        word = said(pod.termination_path)
        return leave(
            pod.termination_path,
            word or Result(reason=FailureReason.INTERRUPTED, message="asked to stop; its processes left no word."),
        )
    except DistError as error:
        raise PeerLost(
            f"not all {spec.compute.nodes} pods of the gang came within {JOIN_TIMEOUT_SECONDS} s: {error}"
        ) from error
    return ExitCode.OK


def killed(code: int) -> Result:
    """What is told of a worker that ended without a word of its own."""
    if code == KILLED:
        return Result(
            reason=FailureReason.OUT_OF_MEMORY,
            message="a training process was ended by signal 9: most often the memory limit; take a larger nodeType or a smaller maxLength.",
        )
    ended = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    return Result(reason=FailureReason.TRAINER_ERROR, message=f"a training process {ended}: see its log.")
