"""Which files of a data set are read: by its README's configs, else by their names, from the hub as from a claim."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.hub import server as hub
from tests.support.serving import serving
from tests.trainer import tiny

from skipjack_trainer.data.sources import fetch
from skipjack_trainer.data.splits import split_of
from skipjack_trainer.errors import ConfigurationInvalid, DataInvalid, DataNotFound
from skipjack_trainer.storage import Access

NAMED = (
    "data/train_sft-00000-of-00002.parquet", "data/train_sft-00001-of-00002.parquet", "data/test_sft-00000-of-00001.parquet",
    "dataset_infos.json",
)  # fmt: skip
SUBSETS = ("en/train.jsonl", "en/dev.jsonl", "de/train.jsonl", "de/test.jsonl")
README = """---
license: mit
configs:
- config_name: chats
  default: true
  data_files:
  - split: train
    path: chats/part-*.jsonl
  - split: extra
    path: [chats/more.jsonl, "chats/even/**"]
- config_name: tests
  data_dir: tests
- config_name: flat
  data_files: flat/[ab].jsonl
---
# A data set
"""
TOLD = (
    "chats/part-1.jsonl", "chats/part-2.jsonl", "chats/more.jsonl", "chats/even/deep/more.jsonl",
    "tests/train.jsonl", "tests/validation.jsonl", "flat/a.jsonl", "flat/b.jsonl", "flat/c.jsonl",
)  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """hf://datasets/org/{named,subsets,told}, and the same below the claim `data`."""
    for name, files in {"named": NAMED, "subsets": SUBSETS, "told": TOLD}.items():
        for kind in ("hub/datasets/org", "claims/data"):
            for file in files:
                place = tmp_path / kind / name / file
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(f"{name}/{file}")
            if name == "told":
                (tmp_path / kind / name / "README.md").write_text(README)
    server = hub.serve(tmp_path / "hub", "127.0.0.1", 0)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield tmp_path


def read(root: Path, uri: str, **chosen: str) -> list[str]:
    """The names of the files that a source reads, in their order."""
    source: dict[str, Any] = {"uri": uri} | chosen
    told = tiny.resolved(dataset={"train": [source]})
    (fetched,) = fetch(told, Access(claims=root / "claims", scratch=root / "scratch")).train
    assert all(file.path.read_text().endswith(file.name) for file in fetched.files)
    return [file.name for file in fetched.files]


BOTH = pytest.mark.parametrize("place", ["hf://datasets/org", "pvc://data"])


@BOTH
def test_files_are_of_the_split_that_their_names_tell(root: Path, place: str) -> None:
    assert read(root, f"{place}/named", split="train_sft") == list(NAMED[:2])
    assert read(root, f"{place}/named", split="test_sft") == [NAMED[2]]
    with pytest.raises(
        DataNotFound,
        match=r"named \(split test\): there is no such split; there are: .*test_sft.*train_sft|train_sft.*test_sft",
    ):
        read(root, f"{place}/named", split="test")


@BOTH
def test_a_subset_is_a_folder(root: Path, place: str) -> None:
    assert read(root, f"{place}/subsets", subset="en", split="train") == ["en/train.jsonl"]
    assert read(root, f"{place}/subsets", subset="en", split="validation") == ["en/dev.jsonl"]
    assert read(root, f"{place}/subsets", subset="en", split="dev") == ["en/dev.jsonl"], "by its other name"
    assert read(root, f"{place}/subsets", split="train") == ["de/train.jsonl", "en/train.jsonl"]
    with pytest.raises(DataNotFound, match=r"\(subset fr, split train\): there is no such subset; there are: de, en"):
        read(root, f"{place}/subsets", subset="fr", split="train")


@BOTH
def test_a_readme_tells_before_any_name(root: Path, place: str) -> None:
    assert read(root, f"{place}/told", split="train") == ["chats/part-1.jsonl", "chats/part-2.jsonl"]
    assert sorted(read(root, f"{place}/told", split="extra")) == ["chats/even/deep/more.jsonl", "chats/more.jsonl"]
    assert read(root, f"{place}/told", subset="tests", split="validation") == ["tests/validation.jsonl"]
    assert read(root, f"{place}/told", subset="flat") == ["flat/a.jsonl", "flat/b.jsonl"], "its only split is the one"
    with pytest.raises(DataNotFound, match="no such subset; there are: chats, tests, flat"):
        read(root, f"{place}/told", subset="dogs")


def test_a_whole_data_set_of_the_hub_is_never_train_and_test_in_one(root: Path) -> None:
    with pytest.raises(
        DataInvalid, match=r"org/subsets: it has several splits: name one in `split`: test, train, validation"
    ):
        read(root, "hf://datasets/org/subsets")
    with pytest.raises(DataInvalid, match="it has several splits: name one in `split`: train, extra"):
        read(root, "hf://datasets/org/told")
    assert len(read(root, "pvc://data/subsets")) == 4, "a folder of one's own is all that is in it"


def test_several_subsets_of_which_none_is_the_default_are_not_guessed_at(root: Path) -> None:
    (root / "claims/data/told/README.md").write_text(README.replace("default: true", "default: false"))
    with pytest.raises(DataInvalid, match="it has several subsets: name one in `subset`: chats, tests, flat"):
        read(root, "pvc://data/told", split="train")


@pytest.mark.parametrize(
    ("front", "words"),
    [
        ("configs: [", "front matter of its README.md is no YAML"),
        ("configs: 3", "`configs` of its README.md are not as the hub has them"),
        ("configs: [{config_name: a, data_files: [{split: train}]}]", "not as the hub has them: KeyError"),
        ("configs: [{config_name: default, data_files: gone.jsonl}]", "its README names no file that is there"),
    ],
)
def test_a_readme_that_cannot_be_followed_is_told(root: Path, front: str, words: str) -> None:
    (root / "claims/data/told/README.md").write_text(f"---\n{front}\n---\n")
    with pytest.raises((DataInvalid, DataNotFound), match=words):
        read(root, "pvc://data/told", split="train")


def test_a_file_or_a_pattern_has_no_split(root: Path) -> None:
    with pytest.raises(
        ConfigurationInvalid, match=r"dev\.jsonl \(split train\): that is a file: leave split and subset out"
    ):
        read(root, "pvc://data/subsets/en/dev.jsonl", split="train")
    with pytest.raises(ConfigurationInvalid, match=r"leave them out, or the '\*'"):
        read(root, "pvc://data/subsets/*/dev.jsonl", split="train")


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("train.jsonl", "train"),
        ("train.jsonl.gz", "train"),
        ("support-train-v2.csv", "train"),
        ("chats.dev.jsonl", "validation"),
        ("dev/chats.jsonl", "validation"),
        ("eval/part.parquet", "test"),
        ("Test.csv", "test"),
        ("train_sft.jsonl", "train_sft"),
        ("data/train-00000-of-00003-0123456789abcdef.parquet", "train"),
        ("data/creative-00000-of-00001.parquet", "creative"),
        ("trains.jsonl", None),
        ("contest.jsonl", None),
        ("chats.jsonl", None),
    ],
)
def test_a_name_tells_a_split(file: str, split: str | None) -> None:
    assert split_of(file) == split
