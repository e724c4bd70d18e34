"""Each node's own control groups: two kubelets under one root would end each other's pods."""

from __future__ import annotations

from pathlib import Path

from .node import Node

ROOT = Path("/sys/fs/cgroup")


def make(node: Node) -> None:
    """The node's group in every hierarchy; the kubelet makes its own below."""
    for hierarchy in hierarchies():
        group = hierarchy / node.name
        group.mkdir(exist_ok=True)
        # A cpuset is born without processors, and then nothing can run in it.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (hierarchy / name).exists():
                (group / name).write_text((hierarchy / name).read_text())


def remove(node: Node) -> None:
    """The node's groups, the inner ones first; nothing may run in them any more."""
    for hierarchy in hierarchies():
        top = hierarchy / node.name
        if top.exists():
            for group in sorted((f for f in top.rglob("*") if f.is_dir()), key=lambda f: -len(f.parts)):
                group.rmdir()
            top.rmdir()


def hierarchies() -> list[Path]:
    """Those of version 1, and the one beside them that has no controllers; links are second names of them."""
    return [folder for folder in ROOT.iterdir() if not folder.is_symlink()]
