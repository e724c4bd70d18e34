"""Taking down what `up` made, whole or a node of it, and losing a node as a fault would."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from . import agents, groups, hub, network, traces
from .node import NODES, Node
from .steps import CACHE, RUN, birth, end, kill, sh, step, wait

CONTROL_PLANE = (
    "local-path-provisioner",
    "coredns",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
)
HOST_SERVICES = ("hub", "buildkitd", "registry")


def down() -> None:
    """Ends every process, mount, namespace and device that `up` made; caches stay."""
    with step("taking the cluster down"):
        for node in NODES:
            stop(node)
        for name in CONTROL_PLANE + HOST_SERVICES:
            end(name)
        wait("what an interrupted up had not noted is gone", lambda: not killed(of_ours()))
        unmount(CACHE)
        network.down()
        traces.remove_shared()
        forget()


def forget() -> None:
    """Removes all state in one move: what is left of half of it would be taken for a cluster."""
    gone = RUN.with_name("run-gone")
    if gone.exists():
        shutil.rmtree(gone)
    if RUN.exists():
        RUN.replace(gone)
        shutil.rmtree(gone)


def stop(node: Node) -> None:
    """Ends the node's processes and mounts; a namespace that is deleted while one still runs leaves its devices."""
    for program in agents.PROGRAMS:
        end(node.process(program))
    wait(f"the containers of {node.name} are gone", lambda: not killed(in_containers(node)))
    unmount(node.folder)
    groups.remove(node)
    traces.remove(node)


def remove(node: Node) -> None:
    """Takes a node away from a cluster that goes on, with the images it held."""
    with step(f"removing {node.name}"):
        stop(node)
        network.detach(node)
        unmount(node.store)
        # The folder last: it says that there is such a node.
        for folder in (node.store, node.folder):
            if folder.exists():
                shutil.rmtree(folder)


def lose(node: Node) -> None:
    """As if its power were cut: first nothing of it is heard any more, then nothing of it runs. `up` brings it back."""
    with step(f"losing {node.name}"):
        network.cut(node)
        for program in agents.PROGRAMS:
            kill(node.process(program), signal.SIGKILL)
        wait(f"nothing of {node.name} runs", lambda: not killed(in_containers(node)))


def in_containers(node: Node) -> list[int]:
    """What runs in the node's pods, and the shims that hold it, which outlive containerd."""
    return [
        number
        for number in numbers()
        if f"/{node.name}/" in fact(number, "cgroup")
        or (
            "containerd-shim-runc-v2" in fact(number, "cmdline") and f"\0{node.containerd}\0" in fact(number, "cmdline")
        )
    ]


def of_ours() -> list[int]:
    """Processes of the cluster's own programs, and the hub's, whose program is Python."""
    serving = f"\0{Path(hub.__file__).parent / 'server.py'}\0{CACHE}/hub-"
    lines = {number: fact(number, "cmdline") for number in numbers()}
    return [n for n, line in lines.items() if line.startswith(f"{CACHE / 'programs'}/") or serving in line]


def numbers() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def fact(number: int, name: str) -> str:
    """A file of a process under /proc; empty when it is gone or a zombie."""
    if birth(number) is None:
        return ""
    try:
        return Path(f"/proc/{number}/{name}").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def killed(found: list[int]) -> list[int]:
    """Those processes, killed now if they were not gone yet."""
    for number in found:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    return found


def unmount(below: Path) -> None:
    """Every mount below a folder, the inner ones first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((m for m in mounts if m.startswith(f"{below}/")), key=len, reverse=True):
        sh("umount", "--lazy", place)
