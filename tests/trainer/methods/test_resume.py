"""A run that was cut goes on as if it had not been, whatever the method keeps: to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.trainees import CPU, attached, examples, settled

from skipjack.api.v1alpha1.method import MethodType, block_of
from skipjack.methods import METHODS as DATA
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import Told, train
from skipjack_trainer.engine.peers import Alone
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.trainee import Trainee
from skipjack_trainer.errors import ConfigurationInvalid, Interrupted
from skipjack_trainer.methods import METHODS
from skipjack_trainer.methods.adalora import extra_state
from skipjack_trainer.model import load_model
from skipjack_trainer.storage.folder import Folder

ROWS = examples(8)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    tiny.model("llama").save_pretrained(folder)
    return folder


def told(kind: MethodType) -> ResolvedSpec:
    block, settings = block_of(kind), DATA[kind].settings
    own: dict[str, Any] = {"dropout": 0.2} if "dropout" in settings else {}
    own |= {"rank": 4} if "rank" in settings else {}
    return settled(
        ROWS,
        DATA[kind].packs,
        method={"type": kind.value} | ({block: own} if block and own else {}),
        hyperparameters={"maxSteps": 4, "globalBatchSize": 4, "learningRate": 0.01},
        compute={"precision": "FP32", "microBatchTokens": 48},
        checkpoint={"everySteps": 2},
    )


def trainee(base: Path, kind: MethodType) -> Trainee:
    spec = told(kind)
    return attached(load_model(base, spec, CPU), spec, ROWS, Alone())


def checkpoints(folder: Path, attempt: int = 1) -> Checkpoints:
    return Checkpoints(Folder(folder, "test"), "c", attempt, 2, folder / "scratch")


def cut(base: Path, kind: MethodType, folder: Path) -> None:
    """Leaves after its second step."""
    stop = Stop()

    def leave(told: Told) -> None:
        stop.leave = told.step == 1

    with pytest.raises(Interrupted, match="after step 2 of 4"):
        train(trainee(base, kind), checkpoints(folder), State(0, [], Before()), stop, leave)


def resumed(base: Path, kind: MethodType, folder: Path) -> tuple[Trainee, State]:
    run = trainee(base, kind)
    state = checkpoints(folder, 2).restore(run.strategy)
    assert state is not None
    assert state.step == 2
    return run, state


def weights(run: Trainee) -> dict[str, bytes]:
    """As bytes: those of a quantised layer may look like numbers that equal nothing."""
    return {
        name: p.detach().contiguous().view(torch.uint8).numpy().tobytes() for name, p in run.model.named_parameters()
    }


def learnt(state: State) -> list[tuple[float, float, float]]:
    return [(entry["step"], entry["loss"], entry["gradNorm"]) for entry in state.curve]


@pytest.mark.parametrize("kind", list(MethodType))
def test_a_resumed_run_is_the_uninterrupted_one(kind: MethodType, base: Path, tmp_path: Path) -> None:
    whole = trainee(base, kind)
    expected = train(whole, checkpoints(tmp_path / "whole"), State(0, [], Before()), Stop(), lambda told: None)
    cut(base, kind, tmp_path)
    run, state = resumed(base, kind, tmp_path)
    ended = train(run, checkpoints(tmp_path, 2), state, Stop(), lambda told: None)
    assert learnt(ended) == learnt(expected)
    assert weights(run) == weights(whole)


def test_the_importance_of_ranks_is_brought_back(base: Path, tmp_path: Path) -> None:
    cut(base, MethodType.ADALORA, tmp_path)
    run, _ = resumed(base, MethodType.ADALORA, tmp_path)
    kept = extra_state(run.model)
    assert {name.partition("/")[0] for name in kept} == {"ipt", "exp_avg_ipt", "exp_avg_unc", "rank_pattern"}
    assert all(tensor.any() for name, tensor in kept.items() if name.startswith("exp_avg_ipt/"))


@pytest.mark.parametrize("kind", [MethodType.PISSA, MethodType.OLORA])
def test_a_machine_that_decomposes_weights_otherwise_goes_on_with_the_rest_that_the_checkpoint_left(
    kind: MethodType, base: Path
) -> None:
    method, model = METHODS[kind], trainee(base, kind).model
    layer = model.base_model.model.model.layers[0].mlp.down_proj
    original = load_model(base, told(kind), CPU).model.layers[0].mlp.down_proj.weight
    here = method.extra_state(model)
    torch.manual_seed(0)
    there = {name: tensor + 0.1 * torch.randn_like(tensor) for name, tensor in here.items()}
    layer.base_layer.weight.ds_id = 0
    with pytest.raises(ConfigurationInvalid, match=r"compute\.strategy: .* choose DDP, ZeRO1 or ZeRO2"):
        method.take_extra(model, {"model.layers.0.mlp.down_proj": there["model.layers.0.mlp.down_proj"]})
    del layer.base_layer.weight.ds_id
    method.take_extra(model, there)
    a, b = there["model.layers.0.mlp.down_proj"].split([layer.in_features, layer.out_features], dim=1)
    torch.testing.assert_close(layer.base_layer.weight + layer.scaling["default"] * b.T @ a, original)
    assert method.extra_state(model)["model.layers.0.mlp.down_proj"] is there["model.layers.0.mlp.down_proj"]
