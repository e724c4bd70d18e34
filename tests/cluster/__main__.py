"""python3 -m tests.cluster up | down | env"""

from __future__ import annotations

import argparse
import sys

from . import local
from .cluster import Cluster
from .steps import Failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster")
    parser.add_argument("verb", choices=("up", "down", "env"))
    verb = parser.parse_args().verb
    try:
        if verb == "down":
            local.down()
            return 0
        cluster = local.up() if verb == "up" else Cluster.current()
    except Failed as failure:
        print(f"cluster: {failure}", file=sys.stderr)
        return 1
    for line in cluster.lines():
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
