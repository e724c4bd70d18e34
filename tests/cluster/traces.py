"""What a node's programs leave at places of the host that they can't be told: theirs goes, a stranger's stays."""

from __future__ import annotations

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
    """Results of CNI plugins and links to logs, of the node's containers."""
    for result in CNI_RESULTS.glob(f"{node.name}-*-eth0"):
        container = result.name.removeprefix(f"{node.name}-").removesuffix("-eth0")
        for each in CNI_RESULTS.glob(f"*-{container}-*"):
            each.unlink()
    for link in LOG_LINKS.glob("*.log"):
        if link.is_symlink() and os.readlink(link).startswith(f"{node.folder}/"):
            link.unlink()


def remove_shared() -> None:
    """Sockets that nobody listens on, and the folders of all that where nothing is left in them."""
    for socket in (*SHIM_SOCKETS.glob("*"), *DEVICE_PLUGINS.glob("*.sock")):
        if not listens(socket):
            socket.unlink()
    for folder in (SHIM_SOCKETS, CNI_RESULTS, DEVICE_PLUGINS):
        with suppress(OSError):  # another's things are in it, or it is not there
            folder.rmdir()
            folder.parent.rmdir()
    with suppress(OSError):
        LOG_LINKS.rmdir()
