"""One job, two attempts, three trackers: what each of them shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from tests.trainer import tiny
from tests.trainer.gangs import RESULT
from tests.trainer.integrations.servers import mlflow_server
from tests.trainer.integrations.wandb_file import records
from tests.trainer.trainees import run_here

from skipjack.protocol import Result
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.errors import Interrupted

EVERY_STEP = list(range(1, 7))
Run = dict[str, Any]


class Tracked(NamedTuple):
    root: Path
    uri: str
    result: Result
    between: list[Run]
    """MLflow's runs between the two attempts."""

    @property
    def curve(self) -> list[dict[str, float]]:
        return tiny.curve(self.root)


def runs(uri: str) -> list[Run]:
    api = f"{uri}/api/2.0/mlflow"
    experiment = requests.get(f"{api}/experiments/get-by-name", params={"experiment_name": "team"}, timeout=30).json()
    body = {"experiment_ids": [experiment["experiment"]["experiment_id"]]}
    found: list[Run] = requests.post(f"{api}/runs/search", json=body, timeout=30).json()["runs"]
    return found


def history(uri: str, run: Run, metric: str) -> list[tuple[int, float]]:
    """(step, value) as often as it was told."""
    asked = {"run_id": run["info"]["run_id"], "metric_key": metric}
    told = requests.get(f"{uri}/api/2.0/mlflow/metrics/get-history", params=asked, timeout=30).json()["metrics"]
    return sorted((int(metric.get("step", 0)), float(metric["value"])) for metric in told)


def said(run: Run, what: str) -> dict[str, Any]:
    """The run's params, tags or last metrics."""
    return {entry["key"]: entry["value"] for entry in run["data"][what]}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracked]:
    root = tmp_path_factory.mktemp("tracked")
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as uri:
        integrations = [{"type": "MLflow", "uri": uri}, {"type": "TensorBoard"}, {"type": "WandB", "run": "first try"}]
        told = tiny.resolved(evaluation={"everySteps": 2}, checkpoint={"everySteps": 3}, integrations=integrations)
        stop = Stop()
        stop.leave = True
        with pytest.raises(Interrupted):
            run_here(tiny.furnish(root, told), stop=stop)
        between = runs(uri)
        yield Tracked(root, uri, run_here(root, attempt=2), between)


def test_an_mlflow_run_that_another_attempt_goes_on_with_waits_for_it(tracked: Tracked) -> None:
    (run,) = tracked.between
    assert run["info"]["status"] == "SCHEDULED"
    assert run["info"]["run_name"] == "job"


def test_all_attempts_of_a_job_are_one_mlflow_run_that_has_each_step_once(tracked: Tracked) -> None:
    (run,) = runs(tracked.uri)
    assert run["info"]["status"] == "FINISHED"
    shown = {"loss": "loss", "learningRate": "learning_rate", "gradNorm": "grad_norm", "heldoutLoss": "heldout_loss"}
    for key, metric in shown.items():
        expected = [(int(entry["step"]), entry[key]) for entry in tracked.curve if key in entry]
        assert history(tracked.uri, run, metric) == expected
    assert [step for step, _ in history(tracked.uri, run, "tokens_per_second")] == EVERY_STEP


def test_an_mlflow_run_has_the_settings_the_measures_and_the_card(tracked: Tracked) -> None:
    (run,) = runs(tracked.uri)
    params, tags, metrics = (said(run, what) for what in ("params", "tags", "metrics"))
    assert (params["method.lora.rank"], params["hyperparameters.maxLength"]) == ("16", "48")
    assert metrics["final/heldout_loss_after"] == pytest.approx(tracked.result.metrics["heldout_loss_after"])
    expected = {"job": "job", "namespace": "team", "uid": "uid-1", "base_model": "pvc://models/base", "method": "LoRA"}
    expected |= {"output_uri": "pvc://models/out", "output_digest": tracked.result.output_digest or ""}
    assert {key: tags[f"skipjack.{key}"] for key in expected} == expected
    assert tags["mlflow.note.content"].startswith("---\ntags: [skipjack, lora]")


def test_tensorboard_finds_each_step_and_the_held_out_measures_in_the_output(tracked: Tracked) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tracked.root / RESULT / "tensorboard/job")).Reload()
    loss = events.Scalars("train/loss")
    assert [(scalar.step, scalar.value) for scalar in loss] == [
        (entry["step"], pytest.approx(entry["loss"])) for entry in tracked.curve
    ]
    apart = [after.wall_time - before.wall_time for before, after in pairwise(loss)]
    assert apart == pytest.approx([entry["seconds"] for entry in tracked.curve[1:]], abs=1e-3)
    held = {scalar.step: scalar.value for scalar in events.Scalars("heldout/loss")}
    assert list(held) == [0, 2, 4, 6]
    assert held[0] == pytest.approx(tracked.result.metrics["heldout_loss_before"])
    assert held[6] == pytest.approx(tracked.result.metrics["heldout_loss_after"])
    assert b"method.lora.rank" in events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]


def test_the_run_that_wandb_syncs_has_each_step_once_and_what_it_came_to(tracked: Tracked) -> None:
    (file,) = (tracked.root / RESULT / "wandb").glob("offline-run-*/run-uid-1.wandb")
    told = list(records(file))
    history = [
        {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
        for record in told
        if record.WhichOneof("record_type") == "history"
    ]
    assert [(entry["_step"], entry["loss"]) for entry in history] == [
        (entry["step"], entry["loss"]) for entry in tracked.curve
    ]
    (run,) = (record.run for record in told if record.WhichOneof("record_type") == "run")
    assert (run.run_id, run.display_name, run.project) == ("uid-1", "first try", "team")
    assert json.loads(next(item for item in run.config.update if item.key == "method.type").value_json) == "LoRA"
    summary = {
        item.key: json.loads(item.value_json)
        for record in told
        if record.WhichOneof("record_type") == "summary"
        for item in record.summary.update
    }
    assert summary["final/heldout_loss_after"] == tracked.result.metrics["heldout_loss_after"]


def test_the_trackers_files_belong_to_the_output_and_its_digest(tracked: Tracked) -> None:
    files = json.loads((tracked.root / RESULT / "skipjack.json").read_text())["files"]
    kinds = {name.split("/")[0] for name in files if "/" in name}
    assert kinds == {"tensorboard", "wandb"}
    assert not any((tracked.root / "scratch/trackers").iterdir()), "what the libraries left behind"
