"""python3 -m tests.cluster up [--nodes N] | down | lose N | status | env | tools"""

from __future__ import annotations

import argparse
import fcntl
import sys
from collections.abc import Callable
from types import TracebackType

from . import elsewhere, local, programs, teardown
from .cluster import Cluster
from .node import FIRST, NODES
from .steps import CACHE, Failed, processes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster", description="A real cluster for demo and tests.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    bring = verbs.add_parser("up", help="bring a cluster up, or bring it up to date")
    bring.add_argument(
        "--nodes", type=int, help="how many it shall end with; left out: as many as it has, and one at first"
    )
    verbs.add_parser("down", help="take it down and leave nothing behind but caches")
    verbs.add_parser("lose", help="a node falls silent and dies; `up` brings it back").add_argument("node", type=int)
    verbs.add_parser("status", help="which of its processes run")
    verbs.add_parser("env", help="where it is, for a shell")
    verbs.add_parser("tools", help="build the programs that tests call, and say where they are")
    arguments = vars(parser.parse_args())
    try:
        for line in VERBS[arguments.pop("verb")](**arguments):
            print(line)
    except Failed as failure:
        print(f"cluster: {failure}", file=sys.stderr)
        return 1
    return 0


def up(nodes: int | None = None) -> list[str]:
    if nodes is not None and not 1 <= nodes <= len(NODES):
        raise Failed(f"--nodes {nodes}: a cluster has 1 to {len(NODES)} nodes")
    with Alone():
        return elsewhere.up(nodes).lines() if elsewhere.chosen() else local.up(nodes).lines()


def down() -> list[str]:
    with Alone():
        if elsewhere.chosen():
            elsewhere.down()
        else:
            teardown.down()
    return []


def lose(node: int) -> list[str]:
    if elsewhere.chosen():
        raise Failed("lose: only a node of our own cluster can be lost; this one is somebody else's")
    losable = {each.number: each for each in NODES if each != FIRST and each.folder.exists()}
    if node not in losable:
        raise Failed(
            f"lose {node}: can be lost: {sorted(losable) or 'none'}; node {FIRST.number} holds the control plane"
        )
    with Alone():
        teardown.lose(losable[node])
    return []


def status() -> list[str]:
    return [f"{name}: {'runs' if runs else 'is gone'}" for name, runs in processes().items()] or ["no cluster is up"]


def env() -> list[str]:
    return Cluster.current().lines()


def tools() -> list[str]:
    folder = programs.build("checks")
    return [f"KIND={folder / 'kind'}", f"KUBECONFORM={folder / 'kubeconform'}"]


VERBS: dict[str, Callable[..., list[str]]] = {
    "up": up,
    "down": down,
    "lose": lose,
    "status": status,
    "env": env,
    "tools": tools,
}


class Alone:
    """One `up` or `down` at a time: the kernel gives the lock back when its holder dies, however it dies."""

    def __enter__(self) -> None:
        CACHE.mkdir(parents=True, exist_ok=True)
        self.lock = (CACHE / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("cluster: waiting for another up or down to end …", flush=True)
            fcntl.flock(self.lock, fcntl.LOCK_EX)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.lock.close()


if __name__ == "__main__":
    sys.exit(main())
