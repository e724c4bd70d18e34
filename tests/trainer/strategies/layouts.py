"""Ways to lay out a run, and what a run is seen to do."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import torch
from tests.trainer import tiny
from tests.trainer.trainees import examples, laid_out, settled

from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.evaluate import answers, evaluate
from skipjack_trainer.engine.loop import Told, train
from skipjack_trainer.engine.peers import Alone, Peers
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.trainee import Trainee
from skipjack_trainer.errors import Interrupted
from skipjack_trainer.storage.folder import Folder

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
SETTINGS = {"SHiRA": {"lora": {"rank": 4}}}
"""Its default has more weights than the layers of a tiny model."""


class Seen(NamedTuple):
    """What a run was like, and what it left."""

    numbers: list[float]
    """Losses, norms before clipping, the held-out loss."""
    answers: list[str]
    stored: Path


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
    heldout = evaluate(run, ROWS)["loss"]
    said = answers(replace(run, tokenizer=tiny.tokenizer()))
    with run.strategy.whole() as arguments:
        if run.peers.rank == 0:
            run.model.save_pretrained(folder / "out", **arguments)
    return Seen([*(e["loss"] for e in curve), *(e["gradNorm"] for e in curve), heldout], said, folder / "out")


@cache
def alone(method: str, packing: bool = True) -> Seen:
    """What one process sees."""
    return seen(run_of(ONE_PROCESS, Alone(), method, packing), Path(mkdtemp()))
