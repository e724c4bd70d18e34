"""Arithmetic and faults: fp16's scale, activations computed again, gradients that are not finite, a peer that is gone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trainer.ranks import together
from tests.trainer.strategies.layouts import METHODS, ONE_PROCESS, STRATEGIES, Laid, Seen, learn, run_of, seen

from skipjack.resolve import ResolvedSpec
from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import Told, train
from skipjack_trainer.engine.peers import Alone, Peers
from skipjack_trainer.engine.scale import LossScale
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.errors import Diverged, PeerLost
from skipjack_trainer.storage.folder import Folder
from skipjack_trainer.tasks.base import MicroBatch
from skipjack_trainer.tasks.causal import CAUSAL


@pytest.mark.parametrize("name", ["DDP", "ZeRO2, optimizer: CPU", "ZeRO3"])
def test_in_fp16_a_step_that_overflows_is_done_again_at_a_smaller_scale(name: str, tmp_path: Path) -> None:
    def work(peers: Peers) -> list[dict[str, float]]:
        run = run_of(STRATEGIES[name], peers, compute={"precision": "FP16"})
        checkpoints = Checkpoints(Folder(tmp_path, "test"), "c", 1, 9, tmp_path / "scratch")
        # What a run finds that has come so far: its gradients overflow.
        state = train(run, checkpoints, State(1, [], Before(), LossScale(2.0**22, is_dynamic=True)), Stop(), ignore)
        return state.curve

    curve = together(2, work)[0]
    assert 1 < curve[0]["lossScale"] < 2.0**22
    exact = run_of(ONE_PROCESS, Alone())
    expected = train(
        exact, Checkpoints(Folder(tmp_path, "test"), "d", 1, 9, tmp_path), State(1, [], Before()), Stop(), ignore
    )
    for key in ("loss", "gradNorm"):
        assert [e[key] for e in curve] == pytest.approx([e[key] for e in expected.curve], rel=0.02)


@pytest.mark.parametrize("name", ["DDP", "ZeRO1", "ZeRO3"])
@pytest.mark.parametrize("precision", ["FP32", "FP16"])
def test_gradients_that_are_not_finite_at_any_scale_end_the_run_and_change_nothing(
    name: str, precision: str, tmp_path: Path
) -> None:
    def work(peers: Peers) -> str:
        run = run_of(STRATEGIES[name], peers, compute={"precision": precision})
        before = dict(run.strategy.states())["model.norm.weight"]["weight"].clone()
        run.strategy.objective.recipe = replace(CAUSAL, loss=steep)
        with pytest.raises(Diverged, match=r"learningRate.*last good checkpoint") as diverged:
            learn(run, tmp_path)
        assert torch.equal(dict(run.strategy.states())["model.norm.weight"]["weight"], before)
        return str(diverged.value)

    assert len(set(together(2, work))) == 1


@pytest.mark.parametrize("name", ["DDP", "ZeRO3"])
@pytest.mark.parametrize("method", METHODS)
def test_activations_that_are_computed_again_give_the_same_to_the_last_bit(
    method: str, name: str, tmp_path: Path
) -> None:
    def work(keeps: bool) -> Callable[[Peers], list[float]]:
        changes = {"compute": {"gradientCheckpointing": not keeps}}
        return lambda peers: seen(run_of(STRATEGIES[name], peers, method, **changes), tmp_path / str(keeps)).numbers

    assert together(2, work(keeps=True)) == together(2, work(keeps=False))


@pytest.mark.parametrize("name", ["ZeRO2", "ZeRO3"])
def test_what_is_trained_stays_fp32_beside_a_frozen_base_that_is_less(name: str, tmp_path: Path) -> None:
    def work(laid: Laid) -> Callable[[Peers], list[float]]:
        def learn_beside(peers: Peers) -> list[float]:
            run = run_of(laid, peers, "LoRA", compute={"precision": "BF16"}, base=torch.bfloat16)
            numbers = seen(run, tmp_path / laid.strategy).numbers
            kinds = {p.requires_grad: p.dtype for p in run.model.parameters()}
            assert kinds == {True: torch.float32, False: torch.bfloat16}
            return numbers

        return learn_beside

    (expected,) = together(1, work(ONE_PROCESS))
    assert together(2, work(STRATEGIES[name]))[0] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("name", ["ZeRO2", "ZeRO3"])
def test_a_peer_that_is_gone_is_told_as_a_lost_peer(name: str, tmp_path: Path) -> None:
    def work(peers: Peers) -> str:
        run = run_of(STRATEGIES[name], peers)
        if peers.rank == 1:
            return "gone"
        with pytest.raises(PeerLost, match="another process of the gang is gone"):
            learn(run, tmp_path)
        return "noticed"

    assert together(2, work) == ["noticed", "gone"]


def test_nothing_is_compiled(tmp_path: Path) -> None:
    extensions, tools = tmp_path / "extensions", tmp_path / "tools"

    def work(peers: Peers) -> Seen:
        extensions.mkdir(exist_ok=True)
        os.environ |= {"PATH": str(tools), "TORCH_EXTENSIONS_DIR": str(extensions)}
        return seen(run_of(STRATEGIES["ZeRO3, optimizer and parameters: CPU"], peers), tmp_path)

    together(2, work)
    assert not list(extensions.iterdir())


def steep(model: Any, batch: MicroBatch, spec: ResolvedSpec) -> tuple[torch.Tensor, float]:
    """The usual loss, with infinite gradients."""
    loss, weight = CAUSAL.loss(model, batch, spec)
    return loss + (loss - loss.detach()).sqrt(), weight


def ignore(told: Told) -> None:
    """For runs that nobody follows."""
