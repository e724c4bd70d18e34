"""Starting from what is there: another job's weights or all of its state, an adapter, a model."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.trainer import tiny
from tests.trainer.gangs import RESULT
from tests.trainer.trainees import run_here

from skipjack.api.v1alpha1.method import MethodType
from skipjack.methods import METHODS
from skipjack.protocol import Result
from skipjack.resolve import Predecessor, ResolvedSpec
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.errors import ConfigurationInvalid, DataInvalid, Interrupted, ModelNotFound

NEXT: dict[str, Any] = {"output": {"uri": "pvc://models/next"}, "model": None}
CONSTANT: dict[str, Any] = {"globalBatchSize": 4, "learningRate": 0.01, "scheduler": "Constant", "warmupRatio": 0}
PAIRS: dict[str, Any] = {"train": [{"uri": "configmap://data/pairs.jsonl"}], "validationSplit": "4"}
LORA: dict[str, Any] = {"type": "LoRA", "lora": {"rank": 4}}


def ran(root: Path, told: ResolvedSpec, **how: Any) -> Result:
    return run_here(tiny.furnish(root, told), **how)


def job(told: ResolvedSpec, is_complete: bool = True) -> Predecessor:
    """What the operator reads of a job of that spec."""
    values = {value.field: json.loads(value.value) for value in told.told()}
    return Predecessor("sft", told.job_uid, told.output.uri, told.checkpoint.uri, is_complete, values)


def then(
    before: ResolvedSpec, is_complete: bool = True, start: dict[str, Any] | None = None, **changes: Any
) -> ResolvedSpec:
    """A job that starts from one of spec `before`."""
    return tiny.resolved(
        job(before, is_complete), "uid-2", **(NEXT | {"startFrom": {"job": "sft"} | (start or {})} | changes)
    )


def from_uri(uri: str, **changes: Any) -> ResolvedSpec:
    return tiny.resolved(None, "uid-2", **(NEXT | {"startFrom": {"uri": uri}} | changes))


def weights(root: Path, place: str = "next") -> dict[str, torch.Tensor]:
    folder = root / "mnt/claims/models" / place
    return {name: t for file in folder.glob("*.safetensors") for name, t in load_file(file).items()}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pod's files after a LoRA job of rank 4."""
    root = tmp_path_factory.mktemp("tuned")
    ran(root, tiny.resolved(method=LORA))
    return root


def copy(tuned: Path, root: Path) -> Path:
    shutil.copytree(tuned, root, dirs_exist_ok=True)
    shutil.rmtree(root / "scratch")
    return root


SFT = tiny.resolved(method=LORA)


@pytest.mark.parametrize(
    "kind", [MethodType.LORA, MethodType.PISSA, MethodType.ADALORA, MethodType.P_TUNING, MethodType.FULL]
)
def test_a_job_begins_where_the_one_before_it_ended(kind: MethodType, tmp_path: Path) -> None:
    first = tiny.resolved(method={"type": kind.value}, checkpoint={"everySteps": 100, "keepFinal": True})
    ended = ran(tmp_path, first)
    result = ran(tmp_path, then(first))
    assert result.metrics["heldout_loss_before"] == pytest.approx(ended.metrics["heldout_loss_after"], rel=1e-5)
    assert result.metrics["heldout_loss_after"] < result.metrics["heldout_loss_before"]
    assert (result.step, result.steps) == (6, 6)
    assert (
        "## Started from\n1. job sft (pvc://models/out)" in (tmp_path / "mnt/claims/models/next/README.md").read_text()
    )


def test_the_optimiser_is_fresh(tuned: Path, tmp_path: Path) -> None:
    """The adapter as it is stored, without the checkpoint, gives the same run to the last bit."""
    one, other = copy(tuned, tmp_path / "one"), copy(tuned, tmp_path / "other")
    kept = next((other / RESULT / ".skipjack/uid-1/checkpoints").glob("step-*/manifest.json"))
    ran(one, then(SFT))
    kept.unlink()
    ran(other, then(SFT))
    assert all(torch.equal(tensor, weights(other)[name]) for name, tensor in weights(one).items())


def test_an_adapter_at_a_uri_is_gone_on_with_and_tells_its_settings_and_its_model(tuned: Path, tmp_path: Path) -> None:
    root = copy(tuned, tmp_path)
    adapter = root / "mnt/claims/models/adapter"
    adapter.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (adapter / name).write_bytes((root / RESULT / name).read_bytes())
    result = ran(root, from_uri("pvc://models/adapter"))
    ended = json.loads((root / RESULT / "skipjack.json").read_text())["result"]
    assert result.metrics["heldout_loss_before"] == pytest.approx(ended["metrics"]["heldout_loss_after"], rel=1e-5)
    config = json.loads((root / "mnt/claims/models/next/adapter_config.json").read_text())
    assert (config["r"], config["base_model_name_or_path"]) == (4, "pvc://models/base")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            {"method": {"type": "LoRA", "lora": {"rank": 8}}},
            r"method\.lora\.rank is 8, of pvc://models/out it is 4: leave it out",
        ),
        (
            {"method": {"type": "LoRA", "lora": {"targetModules": ["q_proj"]}}},
            r"targetModules is q_proj, of .* it is down_proj, gate_proj",
        ),
        ({"model": "pvc://models/other"}, r"model is pvc://models/other, the adapter of .* is of pvc://models/base"),
        ({"method": {"type": "PiSSA"}}, "PiSSA stores its adapter as plain LoRA of twice the rank"),
        (
            {"method": {"type": "IA3"}},
            r"startFrom: pvc://models/out has .* this job trains .*those that it was trained with",
        ),
    ],
)
def test_what_does_not_go_with_the_adapter_is_refused_with_both_values(
    said: dict[str, Any], words: str, tuned: Path, tmp_path: Path
) -> None:
    root = copy(tuned, tmp_path)
    (root / RESULT / "skipjack.json").unlink()
    with pytest.raises(ConfigurationInvalid, match=words):
        ran(root, from_uri("pvc://models/out", **said))


def test_an_adapter_is_merged_first_where_the_whole_model_is_trained(tuned: Path, tmp_path: Path) -> None:
    root = copy(tuned, tmp_path)
    ended = json.loads((root / RESULT / "skipjack.json").read_text())["result"]
    rate = CONSTANT | {"maxSteps": 2, "learningRate": 1e-4}
    result = ran(root, then(SFT, method={"type": "Full"}, hyperparameters=rate))
    assert result.metrics["heldout_loss_before"] == pytest.approx(ended["metrics"]["heldout_loss_after"], rel=1e-4)
    assert result.metrics["heldout_loss_after"] < result.metrics["heldout_loss_before"]
    assert weights(root).keys() == weights(root, "base").keys()


def test_an_adapter_is_trained_on_what_full_fine_tuning_left(tmp_path: Path) -> None:
    full = tiny.resolved(method={"type": "Full"})
    ended = ran(tmp_path, full)
    told = then(full, method=LORA)
    assert told.model.uri == "pvc://models/out"
    result = ran(tmp_path, told)
    assert result.metrics["heldout_loss_before"] == pytest.approx(ended.metrics["heldout_loss_after"], rel=1e-5)
    config = json.loads((tmp_path / "mnt/claims/models/next/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "pvc://models/out"


@pytest.mark.parametrize("keeps", [True, False])
def test_preferences_are_learnt_against_the_weights_that_are_started_from(
    keeps: bool, tuned: Path, tmp_path: Path
) -> None:
    """Then both say the same of every answer, and DPO's loss is the logarithm of two."""
    root = copy(tuned, tmp_path)
    if not keeps:
        shutil.rmtree(root / RESULT / ".skipjack")
    told = then(SFT, dataset=PAIRS)
    rows = [{"prompt": f"light {n}", "chosen": f"it is {n % 7}", "rejected": "no idea"} for n in range(12)]
    tiny.furnish(root, told)
    (root / "mnt/configmaps/data/pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run_here(root)
    assert result.metrics["heldout_loss_before"] == pytest.approx(math.log(2), abs=1e-5)
    assert result.metrics["heldout_loss_after"] < math.log(2)


def test_preferences_are_not_gone_on_with_against_another_model_than_they_began_with(tmp_path: Path) -> None:
    pairs = [{"prompt": f"light {n}", "chosen": f"it is {n % 7}", "rejected": "no idea"} for n in range(24)]
    first = tiny.resolved(method=LORA, task="Preference", dataset=PAIRS)
    longer = then(first, start={"state": "Full"}, task="Preference", dataset=PAIRS, hyperparameters={"maxSteps": 9})
    for told in (first, longer):
        tiny.furnish(tmp_path, told)
        (tmp_path / "mnt/configmaps/data/pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
        if told is first:
            run_here(tmp_path)
    with pytest.raises(ConfigurationInvalid, match="answers are compared to the model that job sft began with"):
        run_here(tmp_path)


@pytest.mark.parametrize("kind", [MethodType.LORA, MethodType.FULL])
def test_with_the_full_state_more_steps_are_as_if_they_had_been_planned(kind: MethodType, tmp_path: Path) -> None:
    def planned(steps: int) -> ResolvedSpec:
        kept = {"everySteps": 100, "keepFinal": True}
        return tiny.resolved(
            method={"type": kind.value}, hyperparameters=CONSTANT | {"maxSteps": steps}, checkpoint=kept
        )

    ran(tmp_path / "whole", planned(12))
    ran(tmp_path / "cut", planned(5))
    result = ran(tmp_path / "cut", then(planned(5), start={"state": "Full"}, hyperparameters={"maxSteps": 12}))
    assert (result.step, result.steps) == (12, 12)
    whole = weights(tmp_path / "whole", "out")
    assert all(torch.equal(tensor, whole[name]) for name, tensor in weights(tmp_path / "cut").items())


def test_the_full_state_goes_on_with_the_same_rows_and_for_longer_alone(tuned: Path, tmp_path: Path) -> None:
    root = copy(tuned, tmp_path)
    with pytest.raises(ConfigurationInvalid, match="job sft has made 6 steps, and this job shall make 6 in all"):
        ran(root, then(SFT, start={"state": "Full"}, hyperparameters={"maxSteps": 6}))
    longer = then(SFT, start={"state": "Full"}, hyperparameters={"maxSteps": 9})
    tiny.furnish(root, longer, rows=tiny.chats(25)[1:])
    with pytest.raises(DataInvalid, match="its rows are others than those of job sft"):
        run_here(root)


@pytest.mark.parametrize(("checkpoint", "step"), [("2", 2), ("Last", 4), ("Best", 2)])
def test_a_job_that_failed_gives_its_checkpoints(checkpoint: str, step: int, tmp_path: Path) -> None:
    hot = {"maxSteps": 12, "globalBatchSize": 4, "learningRate": 0.01, "scheduler": "Constant", "warmupRatio": 0}
    judged = {"everySteps": 2, "keepBest": True, "earlyStopping": {"patience": 9, "minDelta": 100}}
    first = tiny.resolved(method={"type": "Full"}, hyperparameters=hot, evaluation=judged)
    with pytest.raises(Interrupted):
        ran(tmp_path, first, stop=stopping_after(4))
    result = ran(tmp_path, then(first, False, start={"checkpoint": checkpoint}, evaluation={}))
    state = tmp_path / RESULT / f".skipjack/uid-1/checkpoints/step-{step:08d}-a1/state.json"
    entry = json.loads(state.read_text())["curve"][-1]
    assert result.metrics["heldout_loss_before"] == pytest.approx(entry["heldoutLoss"], rel=1e-5)


def stopping_after(steps: int) -> Stop:
    class After(Stop):
        asked = 0

        @property
        def leave(self) -> bool:
            self.asked += 1
            return self.asked >= steps

        @leave.setter
        def leave(self, value: bool) -> None: ...

    return After()


def test_a_checkpoint_that_is_not_there_is_refused_with_those_that_are(tuned: Path, tmp_path: Path) -> None:
    root = copy(tuned, tmp_path)
    with pytest.raises(ModelNotFound, match="job sft has no checkpoint of step 3, there is one of step 6"):
        ran(root, then(SFT, start={"checkpoint": "3"}))
    with pytest.raises(
        ConfigurationInvalid, match=r"stored its last weights, not its best \(its evaluation.keepBest was not true\)"
    ):
        ran(root, then(SFT, start={"checkpoint": "Best"}))
    with pytest.raises(ModelNotFound, match="holds no model, no adapter and no job's result"):
        ran(root, from_uri("pvc://models/nothing", model="pvc://models/base"))


def test_without_the_last_checkpoint_all_of_the_state_is_refused(tmp_path: Path) -> None:
    first = tiny.resolved(method=LORA, checkpoint={"everySteps": 2, "keepFinal": False})
    ran(tmp_path, first)
    assert not (tmp_path / RESULT / ".skipjack/uid-1/checkpoints").exists()
    with pytest.raises(ConfigurationInvalid, match="job sft kept no checkpoint to go on from"):
        ran(tmp_path, then(first, start={"state": "Full"}, hyperparameters={"maxSteps": 9}))


def test_a_model_of_another_vocabulary_is_refused_with_both_sizes(tuned: Path, tmp_path: Path) -> None:
    root = copy(tuned, tmp_path)
    tiny.model(vocab_size=500).save_pretrained(root / "mnt/claims/models/wide")
    with pytest.raises(
        ConfigurationInvalid, match=r"pvc://models/base has a vocab_size of 400, pvc://models/wide, .* of 500"
    ):
        ran(root, from_uri("pvc://models/wide", model="pvc://models/base"))


def test_only_the_last_checkpoint_is_kept_and_goes_with_the_result_that_is_replaced(
    tuned: Path, tmp_path: Path
) -> None:
    root = copy(tuned, tmp_path)
    kept = root / RESULT / ".skipjack/uid-1/checkpoints"
    assert [folder.name for folder in kept.glob("step-*")] == ["step-00000006-a1"]
    bytes_kept = sum(file.stat().st_size for file in kept.rglob("*.safetensors"))
    trained = sum(t.numel() for t in load_file(root / RESULT / "adapter_model.safetensors").values())
    assert bytes_kept == pytest.approx(12 * trained, rel=0.3)
    replacing = tiny.resolved(None, "uid-9", output={"uri": "pvc://models/out", "ifExists": "Replace"})
    ran(root, replacing)
    assert [folder.name for folder in (root / RESULT / ".skipjack").iterdir()] == ["uid-9"]


def test_small_methods_keep_their_last_checkpoint_and_full_does_not() -> None:
    kept = {kind: tiny.resolved(method={"type": kind.value}).checkpoint.keep_final for kind in METHODS}
    assert kept == {kind: kind is not MethodType.FULL for kind in METHODS}
