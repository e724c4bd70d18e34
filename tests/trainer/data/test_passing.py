"""Files that together are too large for the scratch volume pass through it one at a time, and become the same examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.hub import server as hub
from tests.support.serving import serving
from tests.trainer import tiny

from skipjack_trainer.data.prepare import Prepared, prepare
from skipjack_trainer.data.sources import Free, fetch, free_bytes
from skipjack_trainer.errors import DataInvalid, NoSpace
from skipjack_trainer.storage import Access

PARTS, ROWS = 5, 8
FILE_BYTES = 1000
"""More than one of the files has, less than two have."""


class Site:
    """A data set of several files on a hub, and how many of them its pods held at a time."""

    def __init__(self, root: Path) -> None:
        self.root, self.most = root, 0
        self.repo = root / "hub/datasets/org/rows"
        self.repo.mkdir(parents=True)
        for part in range(PARTS):
            lines = [json.dumps({"prompt": f"{part}-{n}", "completion": "red"}) for n in range(ROWS)]
            self.write(part, lines)

    def write(self, part: int, lines: list[str]) -> None:
        file = self.repo / f"train-{part}.jsonl"
        file.write_text("\n".join(lines))
        assert FILE_BYTES / 2 > file.stat().st_size > FILE_BYTES / 4

    def held(self) -> list[Path]:
        data = self.root / "scratch/data"
        return [file for file in data.rglob("*") if file.suffix in (".jsonl", ".incomplete")] if data.exists() else []

    def prepare(self, free: Free = lambda folder: FILE_BYTES, **changes: Any) -> Prepared:
        source = {"uri": "hf://datasets/org/rows"} | changes.pop("source", {})
        told = tiny.resolved(dataset={"train": [source]} | changes.pop("dataset", {}), **changes)
        access = Access(scratch=self.root / "scratch")
        return prepare(told, fetch(told, access, free), tiny.tokenizer(), tiny.FACTS, access.scratch)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path)
    server = hub.serve(tmp_path / "hub", "127.0.0.1", 0)

    class Heard(server.RequestHandlerClass):  # type: ignore[misc, name-defined]
        def file(self, repo: Path, name: str) -> None:
            super().file(repo, name)
            made.most = max(made.most, len(made.held()))

    server.RequestHandlerClass = Heard
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield made


def content(some: Prepared) -> list[tuple[list[int], str]]:
    return [(example.input_ids.tolist(), example.place) for example in (*some.train, *some.validation)]


@pytest.mark.parametrize("dataset", [{}, {"validationSplit": "7"}], ids=["all", "held out"])
def test_they_become_what_they_would_if_all_were_there(dataset: dict[str, Any], site: Site) -> None:
    passed = site.prepare(dataset=dataset)
    assert site.most == 1
    assert site.held() == [], "none is left"
    whole = site.prepare(free_bytes, dataset=dataset)
    assert site.most > 1
    assert content(passed) == content(whole)
    assert passed.train.fingerprint() == whole.train.fingerprint(), (
        "a checkpoint of the one is gone on with by the other"
    )
    assert len(passed.train) + len(passed.validation) == PARTS * ROWS


def test_what_was_prepared_is_found_again_without_fetching_all(site: Site) -> None:
    first = site.prepare()
    (table,) = (site.root / "scratch/prepared").glob("*/train/whole.json")
    written = table.stat().st_mtime_ns
    assert content(site.prepare()) == content(first)
    assert table.stat().st_mtime_ns == written
    site.write(0, [json.dumps({"prompt": f"new {n}", "completion": "blue"}) for n in range(ROWS)])
    assert content(site.prepare()) != content(first), "the data set has moved on"


def test_another_process_of_the_pod_finds_what_the_first_has_brought_though_less_is_free_since(site: Site) -> None:
    first = site.prepare(lambda folder: 2 * PARTS * FILE_BYTES)
    brought = site.held()
    assert len(brought) == PARTS
    assert content(site.prepare(lambda folder: 10)) == content(first)
    assert site.held() == brought


def test_a_bad_row_is_told_by_its_file_and_line(site: Site) -> None:
    good = json.dumps({"prompt": "one", "completion": "two"})
    site.write(3, [good] * 7 + ['{"prompt": "one", "completion": 5}'])
    with pytest.raises(DataInvalid, match=r"^1 bad row, nothing was trained\.\ntrain-3\.jsonl:8: completion"):
        site.prepare()


def test_a_file_that_is_too_large_alone_is_refused_with_what_to_do(site: Site) -> None:
    with pytest.raises(NoSpace, match=r"train-\d\.jsonl has 0 MiB.*split it into several files"):
        site.prepare(lambda folder: FILE_BYTES // 2)
