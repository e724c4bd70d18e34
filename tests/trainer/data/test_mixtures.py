"""Several sources: how many rows and tokens each gives is planned, told and trained on, and a resumed run goes on in its mixture."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.trainer import tiny
from tests.trainer.data.test_prepare import write
from tests.trainer.trainees import run_here

from skipjack.api.v1alpha1.dataset import Task
from skipjack.mixture import Mixture, Share
from skipjack.resolve import DataFacts, resolve_data
from skipjack_trainer.data.prepare import Prepared, prepare
from skipjack_trainer.data.sources import fetch
from skipjack_trainer.engine.order import order
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.errors import DataInvalid, Interrupted
from skipjack_trainer.storage import Access


def rows_of(name: str, count: int, words: int = 1) -> list[dict[str, str]]:
    return [{"prompt": f"{name} {n}", "completion": "red " * words} for n in range(count)]


def prepared(tmp_path: Path, weights: dict[str, float | None], **changes: Any) -> Prepared:
    """Of pvc://data/NAME.jsonl for each name, with its weight."""
    train = [{"uri": f"pvc://data/{name}.jsonl"} | ({"weight": w} if w else {}) for name, w in weights.items()]
    usual: dict[str, Any] = {"hyperparameters": {"epochs": 2, "globalBatchSize": 4}}
    told = tiny.resolved(dataset={"train": train} | changes.pop("dataset", {}), **(usual | changes))
    access = Access(claims=tmp_path / "claims", scratch=tmp_path / "scratch")
    return prepare(told, fetch(told, access), tiny.tokenizer(), tiny.FACTS, access.scratch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    place = tmp_path / "claims/data"
    write(place / "a.jsonl", *rows_of("light", 10))
    write(place / "b.jsonl", *rows_of("tide", 40, words=9))
    return tmp_path


def test_each_sources_share_is_planned_told_and_kept(data: Path) -> None:
    ready = prepared(data, {"a": 2, "b": 0.25})
    assert ready.mixture == Mixture((Share(10, 2), Share(40, 0.25)))
    assert ready.spec.hyperparameters.max_steps == 15, "two epochs of 10·2 + 40·0.25 rows, 4 a step"
    assert "2 epochs of 30 rows" in ready.spec.origins["hyperparameters.max_steps"]
    names = Counter(
        ready.train[int(index)].place.partition(":")[0] for index in order(ready.mixture, 42, 0, np.arange(30))
    )
    assert names == {"a.jsonl": 20, "b.jsonl": 10}
    tokens = [sum(len(row) for row in ready.train if row.place.startswith(name)) for name in "ab"]
    assert {name: value for name, value in ready.facts.items() if name.startswith("train[")} == {
        "train[0].rows": 10, "train[0].epochRows": 20, "train[0].epochTokens": 2 * tokens[0],
        "train[1].rows": 40, "train[1].epochRows": 10, "train[1].epochTokens": round(tokens[1] / 4),
    }  # fmt: skip
    said = [str(part) for part in ready.parts]
    assert said[0].startswith("pvc://data/a.jsonl: 10 rows, weight 2: 20 rows and")
    assert sum(part.share for part in ready.parts) == pytest.approx(1)
    again = prepared(data, {"a": 2, "b": 0.25})
    assert (again.mixture, again.parts) == (ready.mixture, ready.parts), "as it is found in what was kept"


def test_one_source_seen_once_tells_nothing_more(data: Path) -> None:
    ready = prepared(data, {"a": None})
    assert (ready.mixture, ready.parts) == (None, ())
    assert not any(name.startswith("train[") for name in ready.facts)


def test_rows_that_are_held_out_or_dropped_leave_their_source(data: Path) -> None:
    held = prepared(data, {"a": 2, "b": 0.25}, dataset={"validationSplit": "10"})
    assert held.mixture is not None
    left = [share.rows for share in held.mixture.shares]
    assert sum(left) == len(held.train) == 40
    assert left == [sum(row.place.startswith(name) for row in held.train) for name in "ab"]
    limits = {"epochs": 1, "globalBatchSize": 4, "maxLength": 12}
    short = prepared(data, {"a": 2, "b": 0.25}, dataset={"overlong": "Drop"}, hyperparameters=limits)
    assert short.mixture is not None
    assert [share.rows for share in short.mixture.shares] == [10, 0]
    assert short.spec.hyperparameters.max_steps == 5


def test_rows_of_one_name_in_two_sources_are_two_rows(data: Path) -> None:
    for folder in ("one", "two"):
        write(data / f"claims/data/{folder}/rows.jsonl", *rows_of(folder, 10))
    ready = prepared(data, {"one/rows": None, "two/rows": None}, dataset={"validationSplit": "5"})
    assert (len(ready.validation), len(ready.train)) == (5, 15)


def test_a_source_of_which_no_row_would_be_seen_is_refused(data: Path) -> None:
    with pytest.raises(DataInvalid, match=r"dataset\.train\[0\]\.weight: 0\.01 of 10 rows in 2 epochs is not one row"):
        prepared(data, {"a": 0.01, "b": None})
    endless = prepared(data, {"a": 0.01, "b": None}, hyperparameters={"maxSteps": 5, "globalBatchSize": 4})
    assert endless.spec.hyperparameters.max_steps == 5


def test_the_plan_is_by_what_is_seen() -> None:
    told = tiny.resolved(hyperparameters={"epochs": 3})
    mixture = Mixture((Share(100, 0.1), Share(20, 3)))
    whole = resolve_data(told, DataFacts(Task.CHAT, 120, 0, 9, 999, 256, True, (), mixture))
    assert (whole.hyperparameters.global_batch_size, whole.hyperparameters.max_steps) == (7, 30)


def test_a_run_that_was_stopped_goes_on_in_its_mixture(tmp_path: Path) -> None:
    """The second source is told apart by its length: what each step learnt is compared with a run that was never stopped."""
    dataset = {
        "train": [
            {"uri": "configmap://data/train.jsonl", "weight": 1.5},
            {"uri": "configmap://data/more.jsonl", "weight": 0.2},
        ]
    }
    told = tiny.resolved(
        dataset=dataset, hyperparameters={"epochs": 2, "globalBatchSize": 4}, checkpoint={"everySteps": 3}
    )

    def pod(name: str) -> Path:
        root = tiny.furnish(tmp_path / name, told, tiny.chats(8))
        long = [
            {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": f"{n} red " * 12}]}
            for n in range(20)
        ]
        (root / "mnt/configmaps/data/more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in long))
        return root

    whole, stopped = pod("whole"), pod("stopped")
    run_here(whole)
    ended = Stop()
    ended.leave = True
    with pytest.raises(Interrupted):
        run_here(stopped, stop=ended)
    assert run_here(stopped, attempt=2).steps == 8, "2 epochs of 8·1.5 + 20·0.2 rows, 4 a step"
    first, second = ([(e["loss"], e["tokens"]) for e in tiny.curve(root)] for root in (whole, stopped))
    assert first == second
