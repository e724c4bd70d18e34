"""Every strategy learns what one process learns, and goes on from what any other has stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.trainer import tiny
from tests.trainer.trainees import examples, laid_out, settled

from skipjack_trainer.answers import answers
from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import Trainee, evaluate, train
from skipjack_trainer.engine.peers import Peers
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.strategies import zero
from skipjack_trainer.storage.folder import Folder

ROWS = examples(10)
STEPS = 3
ZERO = {"ZeRO1", "ZeRO2", "ZeRO3"}


class Laid(NamedTuple):
    """One way to lay out a run."""

    strategy: str = "DDP"
    offload: dict[str, str] | None = None
    world: int = 1


STRATEGIES = {
    "DDP": Laid(),
    "ZeRO1": Laid("ZeRO1"),
    "ZeRO2": Laid("ZeRO2"),
    "ZeRO3": Laid("ZeRO3"),
    "ZeRO2, optimizer: CPU": Laid("ZeRO2", {"optimizer": "CPU"}),
    "ZeRO3, both: CPU": Laid("ZeRO3", {"optimizer": "CPU", "parameters": "CPU"}),
}


class Seen(NamedTuple):
    losses: list[float]
    norms: list[float]
    heldout: float
    answers: list[str]


@pytest.fixture(scope="module", autouse=True)
def nothing_stays_gathered() -> None:
    """Imports DeepSpeed for all, and has ZeRO-3 share out tiny weights too, which by default it would leave whole."""
    import deepspeed.runtime.superoffload.superoffload_stage3
    import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401

    zero.PERSISTENT_ELEMENTS = 0


def run_of(laid: Laid, peers: Peers, method: str, packing: bool = True, **changes: Any) -> Trainee:
    compute = {"precision": "FP32", "microBatchTokens": 48, "strategy": laid.strategy, "offload": laid.offload}
    told = settled(
        ROWS,
        packing,
        method={"type": method},
        hyperparameters={"maxSteps": STEPS, "globalBatchSize": 8, "learningRate": 0.01, "weightDecay": 0.1, "warmupRatio": 0},
        evaluation={"prompts": ["light 3"], "maxNewTokens": 4},
        compute=compute | changes.pop("compute", {}),
        checkpoint={"everySteps": 1},
        **changes,
    )  # fmt: skip
    return laid_out(told, ROWS, peers)


def learn(run: Trainee, scratch: Path, state: State | None = None, steps: int = STEPS) -> State:
    """Trains up to `steps`, from the newest checkpoint in `scratch`."""
    stop = Stop()
    checkpoints = Checkpoints(Folder(scratch, "test"), "c", 1, 2, scratch / "scratch")
    state = checkpoints.restore(run.strategy) or State(0, [], Before())

    def follow(told: Any) -> None:
        stop.leave = told.step == steps - 1

    return train(run, checkpoints, state, stop, follow)


def seen(run: Trainee, scratch: Path) -> Seen:
    curve = learn(run, scratch).curve
    return Seen(
        [entry["loss"] for entry in curve],
        [entry["gradNorm"] for entry in curve],
        evaluate(run, ROWS),
        answers(run, tiny.tokenizer()),
    )
