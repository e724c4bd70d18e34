"""A bridge on the host, and behind it each node in a network namespace of its own, with plain routes between them."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from .node import FIRST, NODES, Node
from .steps import sh

BRIDGE = "skipjack0"
HOST = "10.250.0.254"
PODS = "10.251.0.0/16"
SERVICES = "10.96.0.0/16"


def up(nodes: Sequence[Node]) -> None:
    """Bridge, namespaces, pairs, routes: each piece by itself, for an `up` may have died between any two."""
    if not is_device(BRIDGE):
        sh("ip", "link", "add", BRIDGE, "type", "bridge")
    sh("ip", "addr", "replace", f"{HOST}/24", "dev", BRIDGE)
    sh("ip", "link", "set", BRIDGE, "up")
    for node in nodes:
        attach(node)
    for node in nodes:
        sh("ip", "route", "replace", node.pods, "via", node.address, "dev", BRIDGE)
        for other in nodes:
            if other != node:
                sh(*node.inside("ip", "route", "replace", other.pods, "via", other.address))
    sh("ip", "route", "replace", SERVICES, "via", FIRST.address, "dev", BRIDGE)


def attach(node: Node) -> None:
    """The node's namespace and the pair into it; a node that was cut off is back."""
    if not has_namespace(node):
        # Where /run outlives a reboot, the name of the namespace does too, and nothing behind it.
        Path(f"/run/netns/{node.name}").unlink(missing_ok=True)
        sh("ip", "netns", "add", node.name)
    if not is_device(node.device):
        sh("ip", "link", "add", node.device, "type", "veth", "peer", "name", "eth0", "netns", node.name)
    sh("ip", "link", "set", node.device, "master", BRIDGE, "up")
    for line in (
        "ip link set lo up",
        f"ip addr replace {node.address}/24 dev eth0",
        "ip link set eth0 up",
        f"ip route replace default via {HOST}",
        "sysctl -qw net.ipv4.ip_forward=1",
    ):
        sh(*node.inside(*line.split()))


def cut(node: Node) -> None:
    """Nothing reaches the node any more, and nothing of it is heard: no connection is even closed."""
    if is_device(node.device):
        sh("ip", "link", "set", node.device, "down")


def detach(node: Node) -> None:
    """Takes the node's pair and namespace away, and the routes to its pods."""
    for other in NODES:
        if other != node and has_namespace(other):
            sh(*other.inside("ip", "route", "flush", "exact", node.pods))
    if is_device(BRIDGE):
        sh("ip", "route", "flush", "exact", node.pods)
    # The device first: with its namespace a pair goes too, but a moment later, and is found and then missed.
    if is_device(node.device):
        sh("ip", "link", "delete", node.device)
    if Path(f"/run/netns/{node.name}").exists():
        sh("ip", "netns", "delete", node.name)


def down() -> None:
    for node in NODES:
        detach(node)
    if is_device(BRIDGE):
        sh("ip", "link", "delete", BRIDGE)


def is_device(name: str) -> bool:
    return name in (each for _, each in socket.if_nameindex())


def has_namespace(node: Node) -> bool:
    return os.path.ismount(f"/run/netns/{node.name}")
