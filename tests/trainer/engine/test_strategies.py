"""Every strategy learns what one process learns, and goes on from what any other has stored."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from tests.support import tables
from tests.trainer import tiny, trainees
from tests.trainer.ranks import together
from tests.trainer.trainees import CPU, examples, laid_out, settled

from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import SpecRefused
from skipjack_trainer.answers import answers
from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import Told, Trainee, accumulate, evaluate, train
from skipjack_trainer.engine.peers import Alone, Peers
from skipjack_trainer.engine.scale import LossScale
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.strategies import zero
from skipjack_trainer.errors import Diverged, Interrupted, PeerLost
from skipjack_trainer.storage.folder import Folder
from skipjack_trainer.tasks import causal
from skipjack_trainer.tasks.base import MicroBatch

ROWS = examples(10)
STEPS = 4


class Laid(NamedTuple):
    """One way to lay out a run."""

    strategy: str = "DDP"
    offload: dict[str, str] | None = None


ONE_PROCESS = Laid()
STRATEGIES = {
    "DDP": Laid(),
    "ZeRO1": Laid("ZeRO1"),
    "ZeRO2": Laid("ZeRO2"),
    "ZeRO3": Laid("ZeRO3"),
    "ZeRO2, optimizer: CPU": Laid("ZeRO2", {"optimizer": "CPU"}),
    "ZeRO3, optimizer and parameters: CPU": Laid("ZeRO3", {"optimizer": "CPU", "parameters": "CPU"}),
    "ZeRO3, optimizer: NVMe": Laid("ZeRO3", {"optimizer": "NVMe"}),
}
METHODS = ["Full", "LoRA"]
ASKED_FOR_MOST = ["Full", "LoRA", "QLoRA"]
OTHERS = [kind.value for kind in MethodType if kind.value not in ASKED_FOR_MOST]
SETTINGS = {"SHiRA": {"lora": {"rank": 4}}}
"""Its default has more weights than the layers of a tiny model."""
STRICTEST = "ZeRO3"
"""What can be cut up, gathered and cut up again can be shared out in every lesser way."""


class Seen(NamedTuple):
    """What a run was like, and what it left."""

    numbers: list[float]
    """Losses, norms before clipping, the held-out loss."""
    answers: list[str]
    stored: Path


@pytest.fixture(scope="module", autouse=True)
def deepspeed() -> None:
    """Imported once for all that are forked. ZeRO-3 is to share out tiny weights too, which by default it leaves whole."""
    zero.imported(CPU)
    import deepspeed.runtime.superoffload.superoffload_stage3
    import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401

    zero.PERSISTENT_ELEMENTS = 0
    trainees.stored("llama")


def run_of(
    laid: Laid,
    peers: Peers,
    method: str = "Full",
    packing: bool = True,
    base: torch.dtype = torch.float32,
    **changes: Any,
) -> Trainee:
    compute = {"precision": "FP32", "microBatchTokens": 48, "strategy": laid.strategy, "offload": laid.offload}
    steps = {"maxSteps": STEPS, "globalBatchSize": 8, "learningRate": 0.01, "weightDecay": 0.1, "warmupRatio": 0}
    told = settled(
        ROWS,
        packing,
        method={"type": method} | SETTINGS.get(method, {}),
        hyperparameters=steps | changes.pop("hyperparameters", {}),
        evaluation={"prompts": ["light 3"], "maxNewTokens": 4},
        compute=compute | changes.pop("compute", {}),
        checkpoint={"everySteps": 1000},
    )
    return laid_out(told, ROWS, peers, disk=Path(mkdtemp()), base=base)


def learn(run: Trainee, scratch: Path, until: int = STEPS) -> State:
    """Trains from the newest checkpoint in `scratch` to the step `until`, which is stored unless it is the last."""
    stop = Stop()
    checkpoints = Checkpoints(Folder(scratch, "test"), "c", 1, 9, scratch / "scratch")
    state = checkpoints.restore(run.strategy) or State(0, [], Before())
    told: list[Told] = []

    def follow(now: Told) -> None:
        told.append(now)
        stop.leave = now.step == until - 1

    stop.leave = state.step == until - 1
    try:
        return train(run, checkpoints, state, stop, follow)
    except Interrupted:
        assert told[-1].step == until
        return state


def seen(run: Trainee, folder: Path) -> Seen:
    """Trains, evaluates, asks and exports."""
    curve = learn(run, folder).curve
    heldout = evaluate(run, ROWS)
    said = answers(run, tiny.tokenizer())
    with run.strategy.whole() as arguments:
        if run.peers.rank == 0:
            run.model.save_pretrained(folder / "out", **arguments)
    return Seen([*(e["loss"] for e in curve), *(e["gradNorm"] for e in curve), heldout], said, folder / "out")


@cache
def alone(method: str, packing: bool = True) -> Seen:
    """What one process sees."""
    return seen(run_of(ONE_PROCESS, Alone(), method, packing), Path(mkdtemp()))


def weights(stored: Path) -> dict[str, torch.Tensor]:
    (file,) = stored.glob("*.safetensors")
    return load_file(file)


def outcome(method: str, laid: Laid, worlds: Sequence[int], folder: Path) -> str:
    """`works` where the layout sees what one process sees, `refused` where it says why it can't be. Raises AssertionError."""
    try:
        settled(ROWS, method={"type": method}, compute={"strategy": laid.strategy})
    except SpecRefused:
        return "refused"
    expected = alone(method)
    for world in worlds:
        found = together(world, lambda peers, world=world: seen(run_of(laid, peers, method), folder / str(world)))
        for one in found:
            assert one.numbers == pytest.approx(expected.numbers, abs=5e-5)
        assert found[0].answers == expected.answers
        ours, theirs = weights(found[0].stored), weights(expected.stored)
        assert ours.keys() == theirs.keys()
        for name, weight in theirs.items():
            # A weight whose gradient is a rounding error may go either way.
            assert (ours[name].double() - weight.double()).abs().mean() < 2e-4, name
    return "works"


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], str]:
    """Of the cells that tests have tried so far."""
    return {}


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("method", ASKED_FOR_MOST)
def test_every_strategy_learns_answers_and_stores_what_one_process_does(
    method: str, name: str, outcomes: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    outcomes[method, name] = outcome(method, STRATEGIES[name], (1, 2), tmp_path)


@pytest.mark.parametrize("method", OTHERS)
def test_every_method_learns_answers_and_stores_under_the_strictest_strategy_what_one_process_does_or_is_refused(
    method: str, outcomes: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    outcomes[method, STRICTEST] = outcome(method, STRATEGIES[STRICTEST], (2,), tmp_path)


def test_what_every_strategy_that_shares_out_refuses_learns_alike_where_nothing_is(
    outcomes: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    outcomes["AdaLoRA", "DDP"] = outcome("AdaLoRA", STRATEGIES["DDP"], (2,), tmp_path)


def test_the_page_tells_what_was_seen(outcomes: dict[tuple[str, str], str]) -> None:
    rows, columns = [*ASKED_FOR_MOST, *OTHERS], list(STRATEGIES)
    told = {(row, column): outcomes.get((row, column), "not tried") for row in rows for column in columns}
    tables.hold("techniques.md", "methods x strategies", "method", rows, columns, told)


@pytest.mark.parametrize("name", ["ZeRO1", "ZeRO3"])
def test_padded_rows_are_learnt_as_by_one_process(name: str, tmp_path: Path) -> None:
    expected = alone("LoRA", packing=False)
    found = together(2, lambda peers: seen(run_of(STRATEGIES[name], peers, "LoRA", packing=False), tmp_path))
    assert found[0].numbers == pytest.approx(expected.numbers, abs=5e-5)


@pytest.mark.parametrize("name", STRATEGIES)
def test_ranks_without_a_micro_batch_go_along_and_change_nothing(name: str, tmp_path: Path) -> None:
    small = {"globalBatchSize": 1}
    expected = learn(run_of(ONE_PROCESS, Alone(), hyperparameters=small), tmp_path / "one").curve
    found = together(2, lambda peers: learn(run_of(STRATEGIES[name], peers, hyperparameters=small), tmp_path))
    for state in found:
        for key in ("loss", "gradNorm", "tokens"):
            assert [e[key] for e in state.curve] == pytest.approx([e[key] for e in expected], abs=1e-5)


@pytest.mark.parametrize("name", STRATEGIES)
def test_one_batch_of_eight_has_the_norm_of_eight_of_one(name: str) -> None:
    def norm(tokens: int) -> Callable[[Peers], float]:
        def work(peers: Peers) -> float:
            run = run_of(STRATEGIES[name], peers, compute={"microBatchTokens": tokens})
            assert len(run.groups(ROWS, range(8))) == (1 if tokens == 4096 else 8)
            accumulate(run, range(8), 0, 1.0)
            return run.strategy.step(1e-3, 1.0, max_norm=0.01)

        return work

    (whole,), (once, again) = together(1, norm(4096)), together(2, norm(8))
    assert once == again == pytest.approx(whole, rel=1e-5)
    assert whole > 0.1, "it was clipped before it was told"


def test_what_is_shared_out_lies_on_one_rank_alone() -> None:
    def sizes(peers: Peers) -> dict[str, tuple[int, int]]:
        return {name: elements(run_of(laid, peers)) for name, laid in STRATEGIES.items() if laid.offload is None}

    def elements(run: Trainee) -> tuple[int, int]:
        state = run.strategy.optimizer.state.values()  # type: ignore[attr-defined]
        return sum(kept["exp_avg"].numel() for kept in state), sum(p.numel() for p in run.model.parameters())

    whole = sum(p.numel() for p in tiny.model().parameters())
    for rank in together(2, sizes):
        assert rank["DDP"] == (whole, whole)
        for name in ("ZeRO1", "ZeRO2"):
            assert rank[name] == (pytest.approx(whole / 2, rel=0.01), whole)
        assert rank["ZeRO3"] == (pytest.approx(whole / 2, rel=0.01), 0)


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
        run.strategy.objective.task = steep
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


def steep(model: Any, batch: MicroBatch) -> tuple[torch.Tensor, float]:
    """The usual loss, with infinite gradients."""
    loss, weight = causal.loss(model, batch)
    return loss + (loss - loss.detach()).sqrt(), weight


def ignore(told: Told) -> None:
    """For runs that nobody follows."""
