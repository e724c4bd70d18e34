"""Checkpoints: whole or not at all, and never a straggler's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.trainer.trainees import examples, trainee

from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import accumulate
from skipjack_trainer.errors import Interrupted
from skipjack_trainer.storage.folder import Folder

ROWS = examples(6)


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Checkpoints, Path]:
    """Checkpoints of steps 2 and 4."""
    run = trainee(ROWS)
    checkpoints = Checkpoints(Folder(tmp_path, "test"), "c", 1, 2, tmp_path / "scratch")
    for step in (2, 4):
        accumulate(run, range(6), step, 1.0)
        run.strategy.step(1e-3, 1.0, 1.0)
        checkpoints.save(
            run.strategy,
            State(step, [{"step": step, "loss": 1.0}], Before({"heldout_loss_before": 3.0}, ["so it is"])),
        )
    return checkpoints, tmp_path / "c"


def restored(checkpoints: Checkpoints) -> State | None:
    return checkpoints.restore(trainee(ROWS).strategy)


def test_the_newest_whole_one_is_resumed(saved: tuple[Checkpoints, Path]) -> None:
    assert restored(saved[0]) == State(
        4, [{"step": 4, "loss": 1.0}], Before({"heldout_loss_before": 3.0}, ["so it is"])
    )


def test_one_without_its_manifest_is_not_there(saved: tuple[Checkpoints, Path]) -> None:
    checkpoints, folder = saved
    (folder / "step-00000004-a1/manifest.json").unlink()
    state = restored(checkpoints)
    assert state is not None
    assert state.step == 2


@pytest.mark.parametrize("name", ["part-00000-00000.safetensors", "state.json"])
@pytest.mark.parametrize("fault", ["flipped", "cut", "missing"])
def test_a_damaged_one_is_told_and_the_one_before_is_resumed(
    saved: tuple[Checkpoints, Path], name: str, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints, folder = saved
    file = folder / "step-00000004-a1" / name
    content = file.read_bytes()
    match fault:
        case "flipped":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "missing":
            file.unlink()
    state = restored(checkpoints)
    assert state is not None
    assert state.step == 2
    assert f"step-00000004-a1 is damaged ({name})" in capsys.readouterr().out


def test_a_manifest_that_is_no_manifest_counts_as_damage(saved: tuple[Checkpoints, Path]) -> None:
    checkpoints, folder = saved
    (folder / "step-00000004-a1/manifest.json").write_text("{")
    state = restored(checkpoints)
    assert state is not None
    assert state.step == 2


def test_no_more_are_kept_than_asked_for(saved: tuple[Checkpoints, Path]) -> None:
    checkpoints, folder = saved
    checkpoints.save(trainee(ROWS).strategy, State(6, [], Before()))
    assert sorted(p.name for p in folder.iterdir()) == ["step-00000004-a1", "step-00000006-a1"]


def test_forgetting_an_old_one_removes_its_manifest_first(saved: tuple[Checkpoints, Path]) -> None:
    checkpoints, _ = saved
    deleted: list[str] = []

    class Watched(Folder):
        def delete(self, path: str) -> None:
            deleted.append(path)
            super().delete(path)

    watched = Checkpoints(Watched(checkpoints.store.root, "test"), "c", 1, 2, checkpoints.scratch)  # type: ignore[attr-defined]
    watched.save(trainee(ROWS).strategy, State(6, [], Before()))
    assert deleted[0] == "c/step-00000002-a1/manifest.json"


def test_a_straggler_cannot_write_over_its_successor(saved: tuple[Checkpoints, Path]) -> None:
    straggler, folder = saved
    before = sorted(folder.rglob("*"))
    straggler.raise_fence()
    successor = Checkpoints(straggler.store, "c", 2, 2, straggler.scratch)
    successor.raise_fence()
    run = trainee(ROWS)
    with pytest.raises(Interrupted, match=r"attempt 2 has taken over from this one \(1\)"):
        straggler.save(run.strategy, State(6, [], Before()))
    with pytest.raises(Interrupted):
        straggler.raise_fence()
    assert sorted(p for p in folder.rglob("*") if p.name != "fence.json") == before
    assert json.loads((folder / "fence.json").read_text())["attempt"] == 2
    successor.save(run.strategy, State(6, [], Before()))
    assert restored(successor).step == 6  # type: ignore[union-attr]


def test_only_what_is_trained_is_stored(saved: tuple[Checkpoints, Path]) -> None:
    from safetensors.torch import load_file

    names = load_file(saved[1] / "step-00000004-a1/part-00000-00000.safetensors")
    assert names
    assert all("lora_" in name for name in names)
    assert all(tensor.dtype == torch.float32 for tensor in names.values())
