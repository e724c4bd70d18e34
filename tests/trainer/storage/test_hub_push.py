"""hf:// as an output: one commit, on a branch of a private repository, and nobody else's written over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from tests.trainer.storage.sites import Site
from tests.trainer.storage.sites.hub import TOKEN, opened

from skipjack_trainer.digests import files_in
from skipjack_trainer.errors import AccessDenied, ConfigurationInvalid, StorageFailed
from skipjack_trainer.storage.hf import Hub, open_uri


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened(tmp_path_factory.mktemp("hf")) as site:
        yield site


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "export"
    made.mkdir()
    (made / "model.safetensors").write_bytes(bytes(1000))
    (made / "README.md").write_text("---\ntags: [skipjack]\n---\n")
    return made


def hub(site: Site, uri: str) -> Hub:
    store = open_uri(uri, site.access).store
    assert isinstance(store, Hub)
    return store


def names(site: Site, uri: str) -> list[str]:
    return [entry.path for entry in hub(site, uri).list()]


def test_a_repository_and_its_branch_are_made_private(site: Site, folder: Path) -> None:
    for _ in range(2):
        made = hub(site, "hf://org/made@tuned")
        made.prepare()
    made.replace(files_in(folder), {"dev.skipjack.job": "team/job"})
    assert names(site, "hf://org/made@tuned") == ["README.md", "model.safetensors"]
    assert names(site, "hf://org/made") == []
    assert HfApi(endpoint=made.api.endpoint, token=TOKEN).model_info("org/made").private


def test_what_is_replaced_goes_in_the_same_commit(site: Site, folder: Path) -> None:
    site.seed("old", "deep/old.bin", b"old")
    store = hub(site, "hf://org/old")
    before = store.commit
    store.replace(files_in(folder), {})
    assert names(site, "hf://org/old") == ["README.md", "model.safetensors"]
    assert store.pinned("hf://org/old") == f"hf://org/old@{hub(site, 'hf://org/old').commit}"
    assert store.commit != before


def test_what_somebody_else_stores_meanwhile_is_left_as_it_is(site: Site, folder: Path) -> None:
    site.seed("moved", "first", b"1")
    store = hub(site, "hf://org/moved")
    assert store.exists("first")
    site.seed("moved", "theirs", b"theirs")
    with pytest.raises(StorageFailed, match="412"):
        store.put(folder / "README.md", "ours")
    assert names(site, "hf://org/moved") == ["first", "theirs"]


def test_a_commit_is_no_branch(site: Site) -> None:
    with pytest.raises(ConfigurationInvalid, match="a commit never changes: name a branch"):
        hub(site, f"hf://org/made@{'0' * 40}").prepare()


def test_who_may_only_read_is_told_before_anything_is_pushed(site: Site) -> None:
    site.seed("theirs", "config.json", b"{}")
    reader = Hub("model", "org/theirs", "main", None)
    with pytest.raises(AccessDenied, match=r"refused the token \(401\)"):
        reader.prepare()


def test_a_card_that_the_hub_refuses_is_told_in_its_words(site: Site, folder: Path) -> None:
    (folder / "README.md").write_text("---\nbase_model: pvc://models/base\n---\n")
    store = hub(site, "hf://org/card")
    store.prepare()
    with pytest.raises(StorageFailed, match="Invalid metadata in README"):
        store.replace(files_in(folder), {})
