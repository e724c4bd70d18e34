"""Claims that are full, and claims that can't be written to: real file systems of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.trainer import forked, tiny
from tests.trainer.gangs import ends
from tests.trainer.trainees import run_here

from skipjack.protocol import ExitCode
from skipjack_trainer.errors import AccessDenied, NoSpace

TO_SMALL: dict[str, Any] = {"output": {"uri": "pvc://small/out"}, "method": {"type": "Full"}}
Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts the claim `small` with options."""
    claim = tmp_path / "mnt/claims/small"

    def make(options: str) -> Path:
        claim.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", claim]
        if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
            pytest.skip("a file system of its own can't be mounted here")
        return claim

    yield make
    if os.path.ismount(claim):
        subprocess.run(["umount", claim], check=True)


def test_a_claim_that_a_checkpoint_fills_ends_as_no_space_and_holds_no_half_checkpoint(
    mount: Mount, tmp_path: Path
) -> None:
    claim = mount("size=256k")
    code, output = ends(forked.start(tiny.furnish(tmp_path, tiny.resolved(**TO_SMALL))))
    assert code == ExitCode.NO_SPACE, output
    assert "claim small is full" in tiny.last_word(tmp_path)["message"]
    assert not list(claim.rglob("manifest.json"))
    assert not list(claim.rglob("*.partial"))


def test_a_claim_that_the_result_fills_ends_as_no_space_and_holds_no_result(mount: Mount, tmp_path: Path) -> None:
    claim = mount("size=128k")
    tiny.furnish(tmp_path, tiny.resolved(**TO_SMALL, checkpoint={"everySteps": 1000}))
    with pytest.raises(NoSpace, match=r"claim small is full: out/model\.safetensors needs \d+ bytes"):
        run_here(tmp_path)
    assert not list(claim.rglob("skipjack.json"))


def test_a_claim_that_can_only_be_read_is_told_by_name(mount: Mount, tmp_path: Path) -> None:
    mount("size=4m,ro")
    tiny.furnish(tmp_path, tiny.resolved(**TO_SMALL))
    with pytest.raises(AccessDenied, match=r"claim small can't be written to by user 0 .*Read-only file system"):
        run_here(tmp_path)
