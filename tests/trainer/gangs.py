"""Pods that are processes on this machine, alone or as gangs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.trainer import forked, tiny
from tests.trainer.forked import Forked

from skipjack.resolve import ResolvedSpec

RESULT = "mnt/claims/models/out"


def with_processes(told: ResolvedSpec, processes: int) -> ResolvedSpec:
    """`told`, with so many processes a pod."""
    return told.model_copy(update={"compute": told.compute.model_copy(update={"processes_per_node": processes})})


def gang(root: Path, attempt: int = 1, nodes: int = 2, only: int | None = None) -> list[Forked]:
    """The pods of a gang (or the one with index `only`) that share their claims, each with a last word of its own."""
    pods = []
    for index in range(nodes) if only is None else [only]:
        pod = root / f"pod-{index}"
        if not pod.exists():
            (pod / "mnt").mkdir(parents=True)
            (pod / "mnt/claims").symlink_to(root / "mnt/claims")
            (pod / "mnt/configmaps").symlink_to(root / "mnt/configmaps")
            (pod / "etc").symlink_to(root / "etc")
            (pod / "scratch").mkdir()
        (pod / "dev/termination-log").unlink(missing_ok=True)
        pods.append(
            forked.start(
                pod,
                JOB_COMPLETION_INDEX=str(index),
                SKIPJACK_MASTER="localhost",
                SKIPJACK_ATTEMPT=str(attempt),
                GLOO_SOCKET_IFNAME="lo",
            )
        )
    return pods


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
