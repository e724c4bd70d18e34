"""What was tokenised once is found again by the pod's other processes and by a later start, and never half of it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.trainer import tiny
from tests.trainer.data import chats
from tests.trainer.data.test_prepare import write

from skipjack_trainer.data import keep, sources, table
from skipjack_trainer.data.example import Examples
from skipjack_trainer.data.prepare import Prepared, prepare
from skipjack_trainer.errors import DataInvalid
from skipjack_trainer.shape import Shape
from skipjack_trainer.storage import Access


@dataclass(frozen=True)
class Pod:
    """A claim with data, and a pod's scratch volume."""

    root: Path

    @property
    def kept(self) -> Path:
        return self.root / "scratch/prepared"

    def bring(self, *rows: dict[str, Any], name: str = "a.jsonl") -> None:
        write(self.root / "claims/data" / name, *rows)

    def prepare(self, tokenizer: Any = None, name: str = "a.jsonl", **changes: Any) -> Prepared:
        dataset = {"train": [{"uri": f"pvc://data/{name}"}]} | changes.pop("dataset", {})
        told = tiny.resolved(dataset=dataset, **changes)
        access = Access(claims=self.root / "claims", scratch=self.root / "scratch")
        found = sources.fetch(told, access)
        return prepare(told, found, tokenizer or tiny.tokenizer(), tiny.FACTS, access.scratch)

    def times_made(self) -> int:
        return len([place for place in self.kept.iterdir() if place.is_dir()])


@pytest.fixture
def pod(tmp_path: Path) -> Pod:
    made = Pod(tmp_path)
    made.bring(*tiny.chats(12))
    return made


def content(prepared: Prepared) -> list[tuple[list[int], list[float], str]]:
    return [(row.input_ids.tolist(), row.weights.tolist(), row.place) for row in prepared.train]


def test_a_second_preparation_maps_the_files_of_the_first(pod: Pod) -> None:
    first = pod.prepare()
    (place,) = (entry for entry in pod.kept.iterdir() if entry.is_dir())
    written = (place / "train" / table.TOKENS).stat()
    second = pod.prepare()
    assert content(second) == content(first)
    assert (second.facts, second.layouts, second.spec) == (first.facts, first.layouts, first.spec)
    assert second.train.fingerprint() == first.train.fingerprint()
    assert (place / "train" / table.TOKENS).stat() == written


def test_what_decides_the_tokens_decides_whether_they_are_found(pod: Pod) -> None:
    pod.bring(*tiny.chats(12), name="b.jsonl")
    pod.prepare(chats.tokenizer(tiny.CHATML))
    different: dict[str, Callable[[], Prepared]] = {
        "name": lambda: pod.prepare(name="b.jsonl"),
        "tokenizer": pod.prepare,
        "template": lambda: pod.prepare(tiny.tokenizer(chats.MARKED)),
        "end of sequence": lambda: pod.prepare(chats.tokenizer(tiny.CHATML, "</s>")),
        "trainOn": lambda: pod.prepare(dataset={"trainOn": "All"}),
        "validation": lambda: pod.prepare(dataset={"validation": [{"uri": "pvc://data/b.jsonl"}]}),
        "content": lambda: (pod.bring(*tiny.chats(13)), pod.prepare())[1],
    }
    for made, (name, prepared) in enumerate(different.items(), 2):
        prepared()
        assert pod.times_made() == made, name
    pod.prepare(hyperparameters={"maxLength": 16, "maxSteps": 1})
    pod.prepare(dataset={"validationSplit": "20%"})
    assert pod.times_made() == made, "rows are cut and held out of what is kept"


def test_windows_are_found_again_by_their_length_and_stride(pod: Pod) -> None:
    def key(shape: Shape, length: int, stride: int) -> str:
        dataset = {"train": [{"uri": "pvc://data/a.jsonl"}], "stride": stride}
        told = tiny.resolved(dataset=dataset, hyperparameters={"maxLength": length})
        access = Access(claims=pod.root / "claims", scratch=pod.root / "scratch")
        facts = replace(tiny.FACTS, shape=shape)
        return keep.key_of(told, sources.fetch(told, access), tiny.tokenizer(), facts)

    asked = [(64, 8), (64, 16), (48, 8)]
    assert len({key(Shape.ENCODER, *how) for how in asked}) == 3
    assert len({key(Shape.DECODER, *how) for how in asked}) == 1


@pytest.mark.parametrize("name", [table.TOKENS, table.WEIGHTS, table.PLACES, table.ROWS, table.WHOLE])
@pytest.mark.parametrize("fault", ["cut", "changed", "gone"])
def test_what_is_damaged_is_made_anew(name: str, fault: str, pod: Pod) -> None:
    expected = content(pod.prepare())
    (file,) = pod.kept.glob(f"*/train/{name}")
    whole = file.read_bytes()
    middle = len(whole) // 2
    file.unlink()
    if fault != "gone":
        file.write_bytes(
            whole[:middle] + (bytes([whole[middle] ^ 1]) + whole[middle + 1 :] if fault == "changed" else b"")
        )
    assert content(pod.prepare()) == expected
    assert file.read_bytes() == whole


def test_bad_rows_leave_nothing_to_be_found_and_are_told_again(pod: Pod) -> None:
    muted = tiny.chats(1)[0]["messages"]
    pod.bring(tiny.chats(1)[0], {"messages": [muted[0], muted[1] | {"weight": 0}]})
    for _ in range(2):
        with pytest.raises(DataInvalid, match=r"a\.jsonl:2: nothing in it is learnt"):
            pod.prepare()
    pod.bring(*tiny.chats(2))
    assert len(pod.prepare().train) == 2


def test_processes_that_come_at_once_make_it_once_and_a_maker_that_died_is_cleaned_up_after(tmp_path: Path) -> None:
    (tmp_path / "key.part").mkdir()
    (tmp_path / "key.part/left behind").touch()

    def load(place: Path) -> str:
        if not place.exists():
            raise table.NotWhole
        assert [entry.name for entry in place.iterdir()] == ["whole"]
        return (place / "whole").read_text()

    def make(place: Path) -> None:
        place.mkdir()
        with (tmp_path / "makers").open("a") as makers:
            makers.write(f"{os.getpid()}\n")
        time.sleep(0.2)
        (place / "whole").write_text("made")

    found: list[str] = []
    others = [threading.Thread(target=lambda: found.append(keep.kept(tmp_path, "key", load, make))) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert found == ["made"] * 4
    assert len((tmp_path / "makers").read_text().splitlines()) == 1


def test_cutting_and_choosing_give_what_a_list_would(pod: Pod) -> None:
    whole = pod.prepare().train
    listed = list(whole)
    chosen = np.arange(len(listed)) % 3 == 1

    def is_chosen(part: Examples) -> np.ndarray:
        return part.rows % 3 == 1

    some = whole.only(is_chosen).within(25)
    expected = [row.input_ids[:25].tolist() for row, taken in zip(listed, chosen, strict=True) if taken]
    assert [row.input_ids.tolist() for row in some] == expected
    assert 0 < some.learnt_tokens() < whole.only(is_chosen).learnt_tokens()
    assert some.learnt_tokens() == sum(float(row.weights.sum()) for row in some)
    assert [row.place for row in whole[2:5]] == [row.place for row in listed[2:5]]
    prints = {rows.fingerprint() for rows in (whole, some, whole.within(9), whole[::-1], whole[1:])}
    assert len(prints) == 5
    with pytest.raises(IndexError):
        whole[len(listed)]
