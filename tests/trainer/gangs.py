"""Pods that are processes on this machine, alone or as gangs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.trainer import forked, tiny
from tests.trainer.forked import Forked
from tests.trainer.ports import free_port

from skipjack.resolve import ResolvedSpec
from skipjack_trainer.launch import WORKER

RESULT = "mnt/claims/models/out"


def with_processes(told: ResolvedSpec, processes: int) -> ResolvedSpec:
    """`told`, with so many processes a pod."""
    return told.model_copy(update={"compute": told.compute.model_copy(update={"processes_per_node": processes})})


def pod(root: Path, index: int) -> Path:
    """The file system of one pod of a gang: shared claims, a last word of its own."""
    place = root / f"pod-{index}"
    if not place.exists():
        (place / "mnt").mkdir(parents=True)
        (place / "mnt/claims").symlink_to(root / "mnt/claims")
        (place / "mnt/configmaps").symlink_to(root / "mnt/configmaps")
        (place / "etc").symlink_to(root / "etc")
        (place / "scratch").mkdir()
    (place / "dev/termination-log").unlink(missing_ok=True)
    return place


def gang(root: Path, attempt: int = 1, nodes: int = 2, only: int | None = None) -> list[Forked]:
    """The pods of a gang (or the one with index `only`), each with its launcher, which starts workers as in a cluster."""
    return [
        forked.start(
            pod(root, index),
            JOB_COMPLETION_INDEX=str(index),
            SKIPJACK_MASTER="localhost",
            SKIPJACK_ATTEMPT=str(attempt),
            GLOO_SOCKET_IFNAME="lo",
        )
        for index in (range(nodes) if only is None else [only])
    ]


def workers(root: Path, world: int = 2, attempt: int = 1) -> list[Forked]:
    """Workers as of one pod, without a launcher, each with a file system of its own: these begin at once."""
    port = free_port()
    return [
        forked.start(
            pod(root, rank),
            WORKER,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(world),
            SKIPJACK_ATTEMPT=str(attempt),
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
            GLOO_SOCKET_IFNAME="lo",
        )
        for rank in range(world)
    ]


def ends(process: Forked | subprocess.Popen[str]) -> tuple[int, str]:
    """Its exit code, and what it said that nobody has read yet."""
    output, _ = process.communicate(timeout=180)
    return process.returncode, output


def until(process: Forked | subprocess.Popen[str], words: str) -> list[str]:
    """The process's lines up to the one that begins so."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(words):
            return lines
    raise AssertionError(f"it ended without {words!r}: {''.join(lines)}")


def learnt(root: Path) -> list[tuple[float, float, float]]:
    return [(entry["step"], entry["loss"], entry["gradNorm"]) for entry in tiny.curve(root)]
