"""Runs whose model, data and result lie in a bucket: killed, gone on with, stored, replaced, started from."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.buckets import Server
from tests.support.faults import FINE, line
from tests.trainer import tiny
from tests.trainer.gangs import ends, learnt, until
from tests.trainer.trainees import run_here

from skipjack.resolve import ResolvedSpec
from skipjack_trainer.engine.checkpoint import Checkpoints
from skipjack_trainer.engine.peers import Alone
from skipjack_trainer.errors import ModelNotFound, OutputExists
from skipjack_trainer.storage import open_store, send

LONG: dict[str, Any] = {
    "hyperparameters": {"maxSteps": 24, "globalBatchSize": 4, "learningRate": 0.003},
    "method": {"type": "LoRA", "lora": {"dropout": 0.2}},
}
OPENED = {"credentials": [{"uriPrefix": "s3://", "secretName": "bucket"}]}


def in_bucket(output: str = "s3://data/out", **changes: Any) -> ResolvedSpec:
    place = {"uri": output, "ifExists": changes.pop("if_exists", "Fail")}
    rows = {"train": [{"uri": "s3://data/rows/*.jsonl"}], "validation": [{"uri": "configmap://data/held.jsonl"}]}
    return tiny.resolved(**({"model": "s3://data/base/", "dataset": rows, "output": place} | OPENED | changes))


@pytest.fixture
def server(object_store: Callable[[str], Server], tmp_path: Path) -> Server:
    """A bucket that holds a model and its rows."""
    made = object_store("s3")
    root = tiny.furnish(tmp_path / "made", in_bucket())
    store = open_store("s3://data", made.access(tmp_path)).store
    for folder in ("base", "rows", "out", "next"):
        store.delete(folder)
    base = root / "mnt/claims/models/base"
    send(store, {f"base/{file.name}": file for file in base.iterdir()})
    store.put(root / "mnt/configmaps/data/train.jsonl", "rows/train.jsonl")
    return made


def furnished(root: Path, server: Server, told: ResolvedSpec) -> Path:
    """A pod of that spec whose Secret opens the bucket, and that has no claim."""
    tiny.furnish(root, told)
    (root / "mnt/claims").rename(root / "no-claims")
    server.access(root)
    return root


def test_a_run_that_was_killed_goes_on_from_its_checkpoint_in_the_bucket(server: Server, tmp_path: Path) -> None:
    whole = tiny.furnish(tmp_path / "whole", tiny.resolved(**LONG))
    run_here(whole)
    cut = furnished(tmp_path / "cut", server, in_bucket(**LONG))
    process = tiny.start(cut)
    until(process, "step 5/")
    process.send_signal(signal.SIGKILL)
    code, said = ends(process)
    assert code == -signal.SIGKILL, said
    out = server.folder / "data/out"
    assert list(out.glob(".skipjack/uid-1/checkpoints/step-*/manifest.json"))
    assert not (out / "skipjack.json").exists()
    result = run_here(cut, attempt=2)
    assert result.output_uri == "s3://data/out"
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(s["loss"], s["gradNorm"]) for s in steps] == [(loss, norm) for _, loss, norm in learnt(whole)]
    assert [place.name for place in out.glob(".skipjack/uid-1/checkpoints/step-*")] == ["step-00000024-a2"]


def test_a_result_in_a_bucket_is_kept_replaced_and_started_from(server: Server, tmp_path: Path) -> None:
    first = run_here(furnished(tmp_path / "first", server, in_bucket()))
    mark = server.folder / "data/out/skipjack.json"
    assert json.loads(mark.read_text())["files"].keys() >= {"adapter_model.safetensors", "README.md"}
    again = run_here(tmp_path / "first", attempt=2)
    assert again == first
    with pytest.raises(OutputExists, match="s3://data/out holds the result of team/job"):
        run_here(furnished(tmp_path / "second", server, in_bucket(uid="uid-2")))
    start = {"startFrom": {"uri": "s3://data/out", "checkpoint": "6"}}
    follower = run_here(furnished(tmp_path / "next", server, in_bucket("s3://data/next", uid="uid-3", **start)))
    assert follower.metrics["heldout_loss_before"] == pytest.approx(first.metrics["heldout_loss_after"], rel=1e-4)
    replacing = in_bucket(uid="uid-4", if_exists="Replace")
    run_here(furnished(tmp_path / "third", server, replacing))
    assert json.loads(mark.read_text())["jobUid"] == "uid-4"
    assert not (mark.parent / ".skipjack/uid-1").exists()


def test_a_model_in_a_bucket_that_is_not_there_is_a_missing_model(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="s3://nowhere/base: there is no such bucket"):
        run_here(furnished(tmp_path / "pod", server, in_bucket(model="s3://nowhere/base")))


def test_the_best_weights_are_brought_back_from_the_bucket(server: Server, tmp_path: Path) -> None:
    diverging = {"maxSteps": 8, "globalBatchSize": 4, "learningRate": 0.9, "warmupRatio": 0, "scheduler": "Constant"}
    told = in_bucket(hyperparameters=diverging, evaluation={"everySteps": 1, "keepBest": True})
    result = run_here(furnished(tmp_path / "pod", server, told))
    assert result.stored_step == result.best_step
    assert (result.stored_step or 8) < 8
    assert not list((tmp_path / "pod/scratch/checkpoint/brought").glob("*/")), "what was taken is not kept"


def test_the_processes_of_a_pod_fetch_a_checkpoint_once(server: Server, tmp_path: Path) -> None:
    run_here(furnished(tmp_path / "pod", server, in_bucket(method={"type": "Full"}, checkpoint={"keepFinal": True})))
    prefix = "out/.skipjack/uid-1/checkpoints"
    size = sum(file.stat().st_size for file in (server.folder / "data" / prefix).rglob("part-*"))
    assert size > 100_000
    with line(server.port, lambda number: FINE) as watched:
        store = open_store("s3://data", server.access(tmp_path, watched.port)).store
        each = [Checkpoints(store, prefix, 2, 2, tmp_path / "scratch") for _ in range(3)]
        found = [checkpoints.newest(Alone()) for checkpoints in each]
        assert all(found)
        assert size < watched.down_bytes < 1.5 * size


def test_what_an_earlier_attempt_left_half_written_goes(server: Server, tmp_path: Path) -> None:
    store = open_store("s3://data", server.access(tmp_path)).store
    (tmp_path / "part").write_bytes(b"half")
    for place in ("step-00000002-a1", "step-00000004-a3"):
        store.put(tmp_path / "part", f"out/c/{place}/part-00000-00000.safetensors")
    Checkpoints(store, "out/c", 2, 2, tmp_path / "scratch").raise_fence()
    assert {entry.path for entry in store.list("out")} == {
        "out/c/fence.json",
        "out/c/step-00000004-a3/part-00000-00000.safetensors",
    }
