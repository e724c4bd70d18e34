"""Data far larger than its steps need: every row is checked, only those that are seen are tokenised, the same ones each time."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trainer import tiny

from skipjack.api.v1alpha1.dataset import RowFormat
from skipjack_trainer.data.check import CheckedSource
from skipjack_trainer.data.prepare import Prepared, prepare
from skipjack_trainer.data.sample import LARGE_BYTES, taken
from skipjack_trainer.data.sources import Source, fetch
from skipjack_trainer.errors import DataInvalid
from skipjack_trainer.storage import Access

ROWS = 2000
PADDING = "x" * (LARGE_BYTES // ROWS + 1)
"""In a column that nobody reads: rows of few words in a file of many bytes."""


@pytest.fixture(scope="module")
def claim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    (root / "claims/data").mkdir(parents=True)
    for name, count in (("a", ROWS), ("b", ROWS // 4)):
        with (root / f"claims/data/{name}.jsonl").open("w") as file:
            for number in range(count):
                row = {"prompt": f"{name} {number}", "completion": "red", "unread": PADDING if name == "a" else ""}
                file.write(json.dumps(row) + "\n")
    return root


def prepared(root: Path, *sources: dict[str, Any], scratch: str = "scratch", **changes: Any) -> Prepared:
    dataset = {"train": [{"uri": f"pvc://data/{own.pop('name')}.jsonl", **own} for own in map(dict, sources)]}
    told = tiny.resolved(
        dataset=dataset | changes.pop("dataset", {}),
        hyperparameters={"maxSteps": 10, "globalBatchSize": 4} | changes.pop("hyperparameters", {}),
        **changes,
    )
    access = Access(claims=root / "claims", scratch=root / scratch)
    return prepare(told, fetch(told, access), tiny.tokenizer(), tiny.FACTS, access.scratch)


def places(some: Prepared) -> list[str]:
    return [example.place for example in some.train]


def test_of_a_large_file_as_many_rows_are_tokenised_as_the_steps_see(claim: Path) -> None:
    some = prepared(claim, {"name": "a"})
    assert len(some.train) == 40 == some.facts["trainRows"]
    assert some.facts["drawnFromRows"] == ROWS
    assert places(some) == sorted(places(some), key=lambda place: int(place.partition(":")[2])), "in the file's order"
    spread = Counter(int(place.partition(":")[2]) * 4 // (ROWS + 1) for place in places(some))
    assert all(spread[quarter] >= 3 for quarter in range(4)), "from all of it"


def test_another_pod_and_a_later_attempt_with_its_settings_pinned_draw_the_same_rows(claim: Path) -> None:
    first = prepared(claim, {"name": "a"})
    assert places(prepared(claim, {"name": "a"}, scratch="elsewhere")) == places(first)
    assert prepared(claim, {"name": "a"}).train.fingerprint() == first.train.fingerprint(), "as it was kept"
    assert places(prepared(claim, {"name": "a"}, hyperparameters={"seed": 7})) != places(first)
    more = prepared(claim, {"name": "a"}, hyperparameters={"maxSteps": 20})
    assert len(more.train) == 80
    assert set(places(more)) > set(places(first)), "and those of more steps are these and others"


def test_each_source_gives_its_share_and_keeps_its_weight(claim: Path) -> None:
    some = prepared(claim, {"name": "a", "weight": 0.5}, {"name": "b", "weight": 2})
    assert some.mixture is not None
    (first, second) = some.mixture.shares
    assert (first.rows, second.rows) == (ROWS // 50, ROWS // 200), "40 of the 2,000 rows that an epoch sees"
    assert some.mixture.epoch_rows == 40


def test_what_is_held_out_is_drawn_besides(claim: Path) -> None:
    some = prepared(claim, {"name": "a"}, dataset={"validationSplit": "10"})
    assert (len(some.train), len(some.validation)) == (40, 10)
    assert not set(places(some)) & {example.place for example in some.validation}
    share = prepared(claim, {"name": "a"}, dataset={"validationSplit": "20%"})
    assert (len(share.train), len(share.validation)) == (40, 10)


@pytest.mark.parametrize(
    ("source", "hyperparameters"),
    [
        ("a", {"maxSteps": None, "epochs": 0.01}),
        ("a", {"maxSteps": ROWS // 4}),
        ("b", {"maxSteps": 10}),
    ],
    ids=["epochs", "more than half is seen", "small"],
)
def test_else_all_rows_are_taken(claim: Path, source: str, hyperparameters: dict[str, Any]) -> None:
    some = prepared(claim, {"name": source}, hyperparameters=hyperparameters)
    assert len(some.train) == {"a": ROWS, "b": ROWS // 4}[source]
    assert "drawnFromRows" not in some.facts


def test_a_bad_row_that_nobody_would_have_drawn_is_told_all_the_same(claim: Path) -> None:
    whole = (claim / "claims/data/a.jsonl").read_bytes()
    (claim / "claims/data/bad.jsonl").write_bytes(whole + b'{"prompt": "a", "completion": 5}\n')
    with pytest.raises(DataInvalid, match=rf"^1 bad row, nothing was trained\.\nbad\.jsonl:{ROWS + 1}: completion"):
        prepared(claim, {"name": "bad"})
    (claim / "claims/data/bad.jsonl").unlink()


@settings(max_examples=100, deadline=None)
@given(rows=st.integers(1, 300), data=st.data(), seed=st.integers(0, 99), number=st.integers(0, 3))
def test_any_sample_has_so_many_rows_in_their_order_and_a_larger_one_has_them_too(
    rows: int, data: st.DataObject, seed: int, number: int
) -> None:
    some, more = sorted(data.draw(st.lists(st.integers(0, rows), min_size=2, max_size=2)))
    source = Source(tiny.resolved().dataset.train[0], ())
    less, larger = (
        list(taken(range(rows), CheckedSource(source, RowFormat.TEXT, rows, sample), seed, number))
        for sample in (some, more)
    )
    assert (len(less), len(larger)) == (some, more)
    assert less == sorted(less)
    assert set(less) <= set(larger)
