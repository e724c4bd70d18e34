"""kind-config.yaml, decoded by the kind program itself: it refuses unknown fields and wrong types before it looks for
a Docker engine. What only values could have wrong (a subnet, a name) it checks after that, and so not here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.cluster import elsewhere, programs
from tests.cluster.steps import ROOT

pytestmark = pytest.mark.cluster
CONFIG = ROOT / "kind-config.yaml"
REFUSAL = "unable to decode config"


def kind(config: Path) -> str:
    """What kind said to a cluster of an image that is nowhere, so that it never gets beyond the configuration."""
    program = programs.build("checks") / "kind"
    done = subprocess.run(
        [program, "create", "cluster", "--config", config, "--name", "validation-only", "--image", "none/none:1"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"},
    )
    assert done.returncode != 0
    return done.stderr


def test_kind_accepts_our_configuration() -> None:
    assert REFUSAL not in kind(CONFIG)


def test_kind_accepts_our_configuration_with_a_second_node(tmp_path: Path) -> None:
    more = tmp_path / "kind.yaml"
    more.write_text(elsewhere.kind_config(2))
    assert [node["role"] for node in yaml.safe_load(more.read_text())["nodes"]] == ["control-plane", "worker"]
    assert REFUSAL not in kind(more)


@pytest.mark.parametrize("line", ["nodez: []\n", "networking: {podSubnets: 10.0.0.0/8}\n", "name: [a]\n"])
def test_kind_refuses_a_configuration_that_is_wrong(tmp_path: Path, line: str) -> None:
    broken = tmp_path / "kind.yaml"
    text = "".join(kept + "\n" for kept in CONFIG.read_text().splitlines() if not kept.startswith(line.split(":")[0]))
    broken.write_text(text + line)
    assert REFUSAL in kind(broken)
