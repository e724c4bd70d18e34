"""The reference: of the model as it was, measured once, the same for every gang, and gone on with after a fault."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.trainer import tiny
from tests.trainer.gangs import learnt
from tests.trainer.preferences import furnished, judgements, preferring, rows_for, tabled, texts
from tests.trainer.ranks import together
from tests.trainer.trainees import CPU, base_of, run_here, settled

from skipjack.api.v1alpha1.dataset import Task
from skipjack_trainer.engine.peers import Alone, Peers
from skipjack_trainer.engine.reference import layer_by_layer, refer
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.errors import Interrupted
from skipjack_trainer.tasks.base import REFERENCE
from skipjack_trainer.tasks.preference import PREFERENCE, batch, compared


def content(model: torch.nn.Module) -> dict[str, bytes]:
    """To the last bit: what is packed into floating-point numbers may be none."""
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("method", ["LoRA", "PiSSA", "OLoRA", "Full"])
def test_it_is_what_the_untouched_model_says(method: str, tmp_path: Path) -> None:
    own = {"type": method} | ({"lora": {"rank": 4}} if method != "Full" else {})
    run = preferring("DPO", tmp_path, packing=False, method=own)
    with torch.no_grad():
        expected = compared(tiny.model("llama").eval(), batch(list(run.train), False, CPU)).log_probs
    kept = np.stack([example.beside[REFERENCE] for example in run.train])
    assert torch.from_numpy(kept).allclose(expected, rtol=1e-5)


def test_measuring_it_leaves_a_quantised_base_as_it_was(tmp_path: Path) -> None:
    rows = tabled(rows_for("DPO"), tmp_path / "rows")
    told = settled(rows, task=Task.PREFERENCE, method={"type": "QLoRA"})
    model = base_of(told, "llama", torch.float32)
    before = content(model)
    refer(model, PREFERENCE, told, rows, CPU, Alone(), tmp_path / "kept")
    assert content(model) == before


def test_every_gang_measures_the_same(tmp_path: Path) -> None:
    def told(peers: Peers) -> list[list[float]]:
        run = preferring("KTO", tmp_path / str(peers.world), peers)
        return [example.beside[REFERENCE].tolist() for example in run.train]

    (alone,) = together(1, told)
    assert together(2, told) == [alone, alone]


def test_it_is_measured_once_and_kept_under_what_decides_it(tmp_path: Path) -> None:
    first = preferring("DPO", tmp_path)
    (file,) = (tmp_path / "reference-0").glob("*.npy")
    np.save(file, np.full((8, 2), -1.5, np.float32))
    shutil.rmtree(tmp_path / "rows-0")
    again = preferring("DPO", tmp_path)
    assert again.train[3].beside[REFERENCE].tolist() == [-1.5, -1.5]
    shutil.rmtree(tmp_path / "rows-0")
    otherwise = preferring("DPO", tmp_path, compute={"precision": "BF16", "microBatchTokens": 96})
    assert otherwise.train[3].beside[REFERENCE].tolist() == pytest.approx(first.train[3].beside[REFERENCE], rel=0.1)


@pytest.mark.parametrize("loss", ["ORPO", "SimPO"])
def test_a_loss_without_one_measures_none(loss: str, tmp_path: Path) -> None:
    run = preferring(loss, tmp_path)
    assert REFERENCE not in run.train[0].beside
    assert not (tmp_path / "reference-0").exists()


@torch.no_grad()
def test_a_model_that_the_device_need_not_hold_computes_on_it_layer_by_layer_and_comes_back() -> None:
    embedding, head = torch.nn.Embedding(7, 4), torch.nn.Linear(4, 7)
    head.weight = embedding.weight
    model = torch.nn.Sequential(embedding, torch.nn.BatchNorm1d(5), head).eval()
    before, held = content(model), list(model.parameters())
    with layer_by_layer(model, torch.device("meta")):
        said = model(torch.zeros(1, 5, dtype=torch.long, device="meta"))
        assert not next(iter(model.parameters())).is_meta, "what has computed is given back at once"
    assert said.is_meta
    assert content(model) == before
    assert all(one is other for one, other in zip(held, model.parameters(), strict=True))
    assert not model(torch.zeros(1, 5, dtype=torch.long)).is_meta


@pytest.mark.parametrize("rows", [texts(24), judgements(24)], ids=["pairs", "judged"])
def test_an_attempt_that_goes_on_learns_the_same_to_the_last_bit(rows: list[dict[str, object]], tmp_path: Path) -> None:
    run_here(furnished(tmp_path / "whole", tiny.resolved(), rows))
    stop = Stop()
    stop.leave = True
    with pytest.raises(Interrupted):
        run_here(furnished(tmp_path / "cut", tiny.resolved(), rows), stop=stop)
    shutil.rmtree(tmp_path / "cut/scratch/reference")
    run_here(tmp_path / "cut", attempt=2)
    assert learnt(tmp_path / "cut") == learnt(tmp_path / "whole")


@pytest.mark.parametrize("rows", [texts(24), judgements(24)], ids=["pairs", "judged"])
def test_a_run_comes_to_prefer_what_is_preferred(rows: list[dict[str, object]], tmp_path: Path) -> None:
    told = run_here(
        furnished(tmp_path, tiny.resolved(evaluation={"prompts": ["light 3"], "maxNewTokens": 3}), rows)
    ).metrics
    assert told["heldout_reward_accuracy_before"] < 0.8
    assert told["heldout_reward_accuracy_after"] == 1.0
    assert told["heldout_reward_margin_after"] > told["heldout_reward_margin_before"]
    assert told["heldout_loss_after"] < told["heldout_loss_before"]
