"""A run goes on from what any strategy has stored, on any number of processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.trainer.ranks import together
from tests.trainer.strategies.layouts import METHODS, ONE_PROCESS, STEPS, STRATEGIES, Laid, learn, run_of

from skipjack_trainer.engine.checkpoint import Checkpoints, State
from skipjack_trainer.engine.peers import Alone, Peers
from skipjack_trainer.storage.folder import Folder

CHAIN = [("ZeRO3", 2), ("DDP", 1), ("DDP", 2), ("ZeRO1", 2), ("ZeRO2, optimizer: CPU", 1), ("ZeRO3, optimizer: NVMe", 2), ("ZeRO3", 1)]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_with_any_strategy_on_any_number_of_processes(method: str, tmp_path: Path) -> None:
    steps = {"maxSteps": len(CHAIN)}
    expected = learn(run_of(ONE_PROCESS, Alone(), method, hyperparameters=steps), tmp_path / "one", len(CHAIN)).curve
    for done, (name, world) in enumerate(CHAIN, 1):

        def one_step(peers: Peers, laid: Laid = STRATEGIES[name], done: int = done) -> State:
            return learn(run_of(laid, peers, method, hyperparameters=steps), tmp_path, done)

        ended = together(world, one_step)[0]
    for key in ("loss", "gradNorm"):
        assert [e[key] for e in ended.curve] == pytest.approx([e[key] for e in expected], rel=1e-4)


@pytest.mark.parametrize("name", ["DDP", "ZeRO2", "ZeRO3"])
def test_a_run_that_goes_on_as_it_was_learns_the_same_to_the_last_bit(name: str, tmp_path: Path) -> None:
    def learn_in(folder: Path, until: int) -> list[dict[str, float]]:
        curve = together(2, lambda peers: learn(run_of(STRATEGIES[name], peers), folder, until))[0].curve
        return [{key: entry[key] for key in ("loss", "gradNorm")} for entry in curve]

    learn_in(tmp_path / "cut", 2)
    assert learn_in(tmp_path / "cut", STEPS) == learn_in(tmp_path / "whole", STEPS)


def test_a_part_that_one_rank_finds_damaged_is_damaged_for_all(tmp_path: Path) -> None:
    for until in (1, 2):
        together(2, lambda peers, until=until: learn(run_of(STRATEGIES["ZeRO3"], peers), tmp_path, until))
    newest = tmp_path / "c/step-00000002-a1"
    assert len(list(newest.glob("part-*"))) == 2
    for damaged in newest.glob("part-00001-*"):
        damaged.write_bytes(b"")

    def restored(peers: Peers) -> int:
        state = Checkpoints(Folder(tmp_path, "test"), "c", 1, 9, tmp_path / "scratch").restore(
            run_of(Laid(), peers).strategy
        )
        assert state is not None
        return state.step

    assert together(2, restored) == [1, 1]
