"""What a node's programs leave at places of the host that they can't be told: found by the node's folder, so that nobody
else's goes."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from .node import Node
from .steps import listens

SHIM_SOCKETS = Path("/run/containerd/s")
CNI_RESULTS = Path("/var/lib/cni/results")
LOG_LINKS = Path("/var/log/containers")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")


def remove(node: Node) -> None:
    """Sockets of shims, results of CNI plugins and links to logs, of the node's containers."""
    for task in (node.folder / "containerd/io.containerd.runtime.v2.task/k8s.io").glob("*"):
        started = task / "bootstrap.json"
        if started.is_file():
            socket = Path(json.loads(started.read_text())["address"].removeprefix("unix://"))
            if socket.parent == SHIM_SOCKETS:
                socket.unlink(missing_ok=True)
        for result in CNI_RESULTS.glob(f"*-{task.name}-*"):
            result.unlink()
    for link in LOG_LINKS.glob("*.log"):
        if link.is_symlink() and os.readlink(link).startswith(f"{node.folder}/"):
            link.unlink()


def remove_folders() -> None:
    """The folders of all that, where nothing is left in them."""
    device_socket = DEVICE_PLUGINS / "kubelet.sock"
    if not listens(device_socket):
        device_socket.unlink(missing_ok=True)
    for folder in (SHIM_SOCKETS, CNI_RESULTS, LOG_LINKS, DEVICE_PLUGINS):
        with suppress(OSError):  # another's things are in it, or it is not there
            folder.rmdir()
            if folder != LOG_LINKS:
                folder.parent.rmdir()
