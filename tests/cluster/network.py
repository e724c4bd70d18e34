"""A bridge on the host, and the node in a network namespace of its own behind it."""

from __future__ import annotations

from pathlib import Path

from .steps import sh

BRIDGE = "skipjack0"
PAIR = "skipjack-h1"
NAMESPACE = "skipjack-n1"
HOST = "10.250.0.254"
NODE = "10.250.0.1"
PODS = "10.251.1.0/24"
SERVICES = "10.96.0.0/16"


def inside(*command: str | Path) -> tuple[str | Path, ...]:
    """The command, in the node's network namespace."""
    return ("nsenter", f"--net=/run/netns/{NAMESPACE}", *command)


def up() -> None:
    """Bridge, namespace and the pair between them: each piece by itself, for an `up` may have died between any two."""
    if not Path(f"/sys/class/net/{BRIDGE}").exists():
        sh("ip", "link", "add", BRIDGE, "type", "bridge")
    sh("ip", "addr", "replace", f"{HOST}/24", "dev", BRIDGE)
    sh("ip", "link", "set", BRIDGE, "up")
    if not Path(f"/run/netns/{NAMESPACE}").exists():
        sh("ip", "netns", "add", NAMESPACE)
    if not Path(f"/sys/class/net/{PAIR}").exists():
        sh("ip", "link", "add", PAIR, "type", "veth", "peer", "name", "eth0", "netns", NAMESPACE)
    sh("ip", "link", "set", PAIR, "master", BRIDGE, "up")
    for line in (
        "ip link set lo up",
        f"ip addr replace {NODE}/24 dev eth0",
        "ip link set eth0 up",
        f"ip route replace default via {HOST}",
        "sysctl -qw net.ipv4.ip_forward=1",
    ):
        sh(*inside(*line.split()))
    for network in (PODS, SERVICES):
        sh("ip", "route", "replace", network, "via", NODE, "dev", BRIDGE)


def down() -> None:
    # Devices first: with its namespace a pair goes too, but a moment later, and is found and then missed.
    for device in (PAIR, BRIDGE):
        if Path(f"/sys/class/net/{device}").exists():
            sh("ip", "link", "delete", device)
    if Path(f"/run/netns/{NAMESPACE}").exists():
        sh("ip", "netns", "delete", NAMESPACE)
