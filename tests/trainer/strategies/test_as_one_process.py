"""Every strategy learns what one process learns, with every method that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.support import tables
from tests.trainer import tiny
from tests.trainer.ranks import together
from tests.trainer.strategies.layouts import ONE_PROCESS, ROWS, STRATEGIES, Laid, Seen, alone, learn, run_of, seen
from tests.trainer.trainees import settled

from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import SpecRefused
from skipjack_trainer.engine.loop import accumulate
from skipjack_trainer.engine.peers import Alone, Peers
from skipjack_trainer.engine.trainee import Trainee

ASKED_FOR_MOST = ["Full", "LoRA", "QLoRA"]
OTHERS = [kind.value for kind in MethodType if kind.value not in ASKED_FOR_MOST]


def weights(stored: Path) -> dict[str, torch.Tensor]:
    (file,) = stored.glob("*.safetensors")
    return load_file(file)


def is_refused(method: str, laid: Laid) -> bool:
    try:
        settled(ROWS, method={"type": method}, compute={"strategy": laid.strategy})
    except SpecRefused:
        return True
    return False


def assert_alike(ranks: Sequence[Seen], expected: Seen) -> None:
    for one in ranks:
        assert one.numbers == pytest.approx(expected.numbers, abs=5e-5)
    assert ranks[0].answers == expected.answers
    ours, theirs = weights(ranks[0].stored), weights(expected.stored)
    assert ours.keys() == theirs.keys()
    for name, weight in theirs.items():
        # A weight whose gradient is a rounding error may go either way.
        assert (ours[name].double() - weight.double()).abs().mean() < 2e-4, name


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], str]:
    """Of the cells that tests have tried so far."""
    return {}


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("method", ASKED_FOR_MOST)
def test_every_strategy_learns_answers_and_stores_what_one_process_does(
    method: str, name: str, outcomes: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    laid = STRATEGIES[name]
    for world in (1, 2):
        ranks = together(world, lambda peers, world=world: seen(run_of(laid, peers, method), tmp_path / str(world)))
        assert_alike(ranks, alone(method))
    outcomes[method, name] = "works"


@pytest.mark.parametrize("name", STRATEGIES)
def test_so_it_does_with_every_other_method_or_refuses_it(
    name: str, outcomes: dict[tuple[str, str], str], tmp_path: Path
) -> None:
    laid = STRATEGIES[name]
    outcomes.update({(method, name): "refused" for method in OTHERS if is_refused(method, laid)})
    able = [method for method in OTHERS if (method, name) not in outcomes]
    ranks = together(2, lambda peers: [seen(run_of(laid, peers, method), tmp_path / method) for method in able])
    for number, method in enumerate(able):
        assert_alike([rank[number] for rank in ranks], alone(method))
        outcomes[method, name] = "works"


def test_the_page_tells_what_was_seen(outcomes: dict[tuple[str, str], str]) -> None:
    rows, columns = [*ASKED_FOR_MOST, *OTHERS], list(STRATEGIES)
    tables.hold("techniques.md", "methods x strategies", "method", rows, columns, outcomes)


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
