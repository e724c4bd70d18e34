"""hf://: what the hub refuses, and what it can't answer, told by reason; and a model's files without what nobody reads."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.hub import server as hub
from tests.support.serving import serving
from tests.trainer import tiny

from skipjack_trainer.data.sources import fetch
from skipjack_trainer.errors import AccessDenied, DataNotFound, ModelNotFound, ModelUnsupported, StorageFailed
from skipjack_trainer.model import fetch_model
from skipjack_trainer.storage import Access, open_store


@pytest.fixture
def access(tmp_path: Path) -> Access:
    secret = tmp_path / "credentials/hub"
    secret.mkdir(parents=True)
    (secret / "token").write_text("hf_test\n")
    return Access(credentials=tmp_path / "credentials", scratch=tmp_path / "scratch")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The hub's files; models/org/open is there, models/org/closed is private."""
    for name, content in {
        "open/config.json": "{}",
        "closed/config.json": "{}",
        "closed/.token": "hf_test",
        "closed/.private": "hf_test",
    }.items():
        place = tmp_path / "hub/models/org" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    server = hub.serve(tmp_path / "hub", "127.0.0.1", 0)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield tmp_path / "hub"


def holding(access: Access, prefix: str) -> Access:
    """With the token for what begins so."""
    return Access(access.claims, access.configmaps, access.credentials, access.scratch, {prefix: "hub"})


@pytest.mark.parametrize(
    ("uri", "error", "words"),
    [
        ("hf://org/none", ModelNotFound, "hf://org/none doesn't exist, or is private"),
        ("hf://org/closed", ModelNotFound, r"private.*spec\.credentials"),
        ("hf://datasets/org/none/a.jsonl", DataNotFound, "hf://datasets/org/none doesn't exist"),
        ("hf://org/open@v9", ModelNotFound, "no such revision"),
        ("hf://org", ModelNotFound, "hf://ORG/NAME"),
    ],
)
@pytest.mark.usefixtures("root")
def test_what_is_not_there_is_told_by_its_address(uri: str, error: type[Exception], words: str, access: Access) -> None:
    with pytest.raises(error, match=words):
        open_store(uri, access).store.list()


@pytest.mark.usefixtures("root")
def test_a_token_opens_what_it_is_named_for_alone(access: Access) -> None:
    store, _ = open_store("hf://org/closed", holding(access, "hf://org/"))
    assert [entry.path for entry in store.list()] == ["config.json"]
    with pytest.raises(ModelNotFound):
        open_store("hf://org/closed", holding(access, "hf://datasets/")).store.list()


@pytest.mark.usefixtures("root")
def test_a_secret_without_a_token_is_told_by_its_name(access: Access) -> None:
    (access.credentials / "hub/token").unlink()
    with pytest.raises(AccessDenied, match="Secret hub is missing or has no key 'token'"):
        open_store("hf://org/closed", holding(access, "hf://"))


def test_a_gated_repository_asks_for_its_licence_to_be_accepted(root: Path, access: Access) -> None:
    (root / "models/org/open/.gated").write_text("hf_test")
    with pytest.raises(AccessDenied, match="is gated: accept its licence"):
        open_store("hf://org/open", access).store.get("config.json", access.scratch)


def test_a_hub_that_goes_away_between_two_files_may_come_back(
    root: Path, access: Access, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = open_store("hf://org/open", access)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    store.api.endpoint = f"http://127.0.0.1:{port}"  # type: ignore[attr-defined]
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with pytest.raises(StorageFailed, match=r"the hub can't be reached.*refused"):
        store.get("config.json", access.scratch)


def test_of_a_model_only_what_is_read_is_fetched(root: Path, access: Access) -> None:
    repo = root / "models/org/whole"
    tiny.model().save_pretrained(repo)
    tiny.tokenizer().save_pretrained(repo)
    for unread in ("consolidated.safetensors", "pytorch_model.bin", "onnx/model.onnx", "modeling_evil.py"):
        (repo / unread).parent.mkdir(exist_ok=True)
        (repo / unread).write_bytes(b"never read")
    (repo / "cl100k_base.tiktoken").write_bytes(b"YQ== 0\n")
    folder, _ = fetch_model(tiny.resolved(model="hf://org/whole"), access)
    read = {file.suffix for file in folder.iterdir() if file.is_file()}
    assert read == {".json", ".jinja", ".safetensors", ".tiktoken"}
    assert [file.name for file in folder.glob("*.safetensors")] == ["model.safetensors"]


def test_of_a_model_in_shards_those_of_its_index_are_fetched(root: Path, access: Access) -> None:
    repo = root / "models/org/shards"
    tiny.model().save_pretrained(repo, max_shard_size="20KB")
    shards = set(json.loads((repo / "model.safetensors.index.json").read_text())["weight_map"].values())
    assert len(shards) > 1
    (repo / "consolidated.safetensors").write_bytes(b"never read")
    folder, _ = fetch_model(tiny.resolved(model="hf://org/shards"), access)
    assert {file.name for file in folder.glob("*.safetensors")} == shards


def test_a_models_branch_is_pinned_to_the_commit_that_was_read(root: Path, access: Access) -> None:
    (root / "models/org/open/model.safetensors").write_text("weights")
    _, first = fetch_model(tiny.resolved(model="hf://org/open"), access)
    assert first.model.uri == f"hf://org/open@{hub.commit(root / 'models/org/open')}"
    assert first.origins["model.uri"] == "the commit that was read first"
    _, again = fetch_model(first, access)
    assert again == first
    (root / "models/org/open/config.json").write_text('{"moved": true}')
    with pytest.raises(ModelNotFound, match="no such revision"):
        fetch_model(first, access)


@pytest.mark.usefixtures("root")
def test_a_model_without_safetensors_is_refused_since_pickles_can_run_code(root: Path, access: Access) -> None:
    (root / "models/org/open/pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelUnsupported, match="no safetensors weights"):
        fetch_model(tiny.resolved(model="hf://org/open"), access)


def test_files_of_one_name_from_two_data_sets_are_two_files(root: Path, access: Access) -> None:
    for repo in ("one", "two"):
        place = root / f"datasets/org/{repo}/rows.jsonl"
        place.parent.mkdir(parents=True)
        place.write_text(repo)
    uris = [{"uri": f"hf://datasets/org/{repo}/rows.jsonl"} for repo in ("one", "two")]
    fetched = fetch(tiny.resolved(dataset={"train": uris, "validation": uris}), access)
    for sources in (fetched.train, fetched.validation):
        assert [source.files[0].path.read_text() for source in sources] == ["one", "two"]
