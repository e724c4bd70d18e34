"""For tests that need a second node, and lose it: only where the cluster has two."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cluster.node import NODES
from tests.cluster.steps import ROOT

SECOND = NODES[1]
NEEDS_TWO_NODES = [
    pytest.mark.cluster,
    pytest.mark.skipif(not SECOND.folder.exists(), reason="the cluster has one node: make up NODES=2"),
]


def cluster(*words: str) -> None:
    """A verb of the cluster's own program."""
    subprocess.run([sys.executable, "-m", "tests.cluster", *words], cwd=ROOT, check=True)
