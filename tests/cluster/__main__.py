"""python3 -m tests.cluster up | down | status | env | tools"""

from __future__ import annotations

import argparse
import fcntl
import sys

from . import elsewhere, local, programs
from .cluster import Cluster
from .steps import CACHE, Failed, processes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster")
    parser.add_argument("verb", choices=("up", "down", "status", "env", "tools"))
    parser.add_argument("--nodes", type=int, default=1, help="how many nodes `up` shall end with")
    arguments = parser.parse_args()
    try:
        for line in VERBS[arguments.verb](arguments.nodes):
            print(line)
    except Failed as failure:
        print(f"cluster: {failure}", file=sys.stderr)
        return 1
    return 0


def up(nodes: int) -> list[str]:
    if nodes != 1:
        raise Failed(f"--nodes {nodes}: a cluster of one node is all there is so far")
    with alone():
        return elsewhere.up().lines() if elsewhere.chosen() else local.up().lines()


def down(_: int) -> list[str]:
    with alone():
        if elsewhere.chosen():
            elsewhere.down()
        else:
            local.down()
    return []


def status(_: int) -> list[str]:
    return [f"{name}: {'runs' if runs else 'is gone'}" for name, runs in processes().items()] or ["no cluster is up"]


def env(_: int) -> list[str]:
    return Cluster.current().lines()


def tools(_: int) -> list[str]:
    folder = programs.build("checks")
    return [f"KIND={folder / 'kind'}", f"KUBECONFORM={folder / 'kubeconform'}"]


VERBS = {"up": up, "down": down, "status": status, "env": env, "tools": tools}


class alone:
    """One `up` or `down` at a time: the kernel gives the lock back when its holder dies, however it dies."""

    def __enter__(self) -> None:
        CACHE.mkdir(parents=True, exist_ok=True)
        self.lock = (CACHE / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("cluster: waiting for another up or down to end …", flush=True)
            fcntl.flock(self.lock, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        self.lock.close()


if __name__ == "__main__":
    sys.exit(main())
