"""A node as a value: what its number makes of names, addresses and folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .steps import CACHE, RUN


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the cluster; nothing but its number tells it from another."""

    number: int

    @property
    def name(self) -> str:
        """The node's name in the cluster, and that of its network namespace and its control group."""
        return f"skipjack-n{self.number}"

    @property
    def device(self) -> str:
        """The host's end of the pair into the node's namespace; the other end is eth0."""
        return f"skipjack-h{self.number}"

    @property
    def address(self) -> str:
        return f"10.250.0.{self.number}"

    @property
    def pods(self) -> str:
        """The subnet of its pods, a part of PODS."""
        return f"10.251.{self.number}.0/24"

    @property
    def folder(self) -> Path:
        """Configuration and state; gone with the cluster."""
        return RUN / f"n{self.number}"

    @property
    def store(self) -> Path:
        """The images that it has pulled: a cache, kept when the cluster goes."""
        return CACHE / f"containerd-n{self.number}"

    @property
    def containerd(self) -> Path:
        return self.folder / "containerd.sock"

    def process(self, program: str) -> str:
        """What that program of this node is called among the processes."""
        return f"{program}-n{self.number}"

    def inside(self, *command: str | Path) -> tuple[str | Path, ...]:
        """The command, in the node's network namespace."""
        return ("nsenter", f"--net=/run/netns/{self.name}", *command)


NODES = (Node(1), Node(2))
"""All that there can be: each holds its own copy of the images, and has a user of its own at the API."""
FIRST = NODES[0]
"""Holds the control plane too."""
