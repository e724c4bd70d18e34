"""Each node's own control groups: two kubelets under one root would end each other's pods."""

from __future__ import annotations

from pathlib import Path

from .node import Node

ROOT = Path("/sys/fs/cgroup")


def make(node: Node) -> None:
    """The node's group in every controller; the kubelet makes its own below."""
    for controller in controllers():
        group = controller / node.name
        group.mkdir(exist_ok=True)
        # A cpuset is born without processors, and then nothing can run in it.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (controller / name).exists():
                (group / name).write_text((controller / name).read_text())


def remove(node: Node) -> None:
    """The node's groups, the inner ones first; nothing may run in them any more."""
    for controller in controllers():
        top = controller / node.name
        if top.exists():
            for group in sorted((f for f in top.rglob("*") if f.is_dir()), key=lambda f: -len(f.parts)):
                group.rmdir()
            top.rmdir()


def controllers() -> list[Path]:
    """The hierarchies of version 1; links are second names of them, and `unified` has no controllers."""
    return [folder for folder in ROOT.iterdir() if not folder.is_symlink() and folder.name != "unified"]
