"""The hub server, asked by the real client on loopback."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.cluster.hub.server import commit, serve
from tests.support.serving import serving

WEIGHTS = bytes(range(256)) * 5000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, content in {
        "models/org/open/config.json": b'{"model_type": "llama"}',
        "models/org/open/model.safetensors": WEIGHTS,
        "models/org/open/sub/deep.txt": b"deep",
        "models/org/closed/config.json": b"{}",
        "models/org/closed/.private": b"hf_test\n",
        "models/org/gated/config.json": b"{}",
        "models/org/gated/.gated": b"hf_test\n",
        "datasets/org/rows/train.jsonl": b'{"a": 1}\n',
        ".writer": b"hf_writer\n",
    }.items():
        file = tmp_path / "root" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return tmp_path / "root"


@pytest.fixture
def endpoint(root: Path) -> Iterator[str]:
    server = serve(root, "127.0.0.1", 0)
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}"


def test_a_snapshot_holds_every_file_byte_by_byte(endpoint: str, tmp_path: Path) -> None:
    folder = Path(snapshot_download("org/open", endpoint=endpoint, cache_dir=tmp_path / "cache", token=False))
    found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert found == {"config.json": b'{"model_type": "llama"}', "model.safetensors": WEIGHTS, "sub/deep.txt": b"deep"}


def test_a_branch_is_pinned_to_a_commit_that_can_be_asked_for(endpoint: str, root: Path, tmp_path: Path) -> None:
    sha = HfApi(endpoint=endpoint, token=False).model_info("org/open").sha
    assert sha == commit(root / "models/org/open")
    file = hf_hub_download("org/open", "config.json", revision=sha, endpoint=endpoint, cache_dir=tmp_path, token=False)
    assert sha in file


def test_the_tree_lists_files_with_their_sizes(endpoint: str) -> None:
    tree = HfApi(endpoint=endpoint, token=False).list_repo_tree("org/open", recursive=True)
    assert {entry.path: entry.size for entry in tree} == {
        "config.json": 23,
        "model.safetensors": len(WEIGHTS),
        "sub/deep.txt": 4,
    }


def test_a_data_set_is_served_apart_from_models(endpoint: str, tmp_path: Path) -> None:
    asked = {"endpoint": endpoint, "cache_dir": tmp_path, "token": False}
    file = hf_hub_download("org/rows", "train.jsonl", repo_type="dataset", **asked)
    assert Path(file).read_text() == '{"a": 1}\n'
    with pytest.raises(RepositoryNotFoundError):
        hf_hub_download("org/rows", "train.jsonl", **asked)


def test_a_repository_that_is_not_there_is_told_so(endpoint: str) -> None:
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=endpoint, token=False).model_info("org/none")


def test_a_revision_that_is_not_there_is_told_so(endpoint: str) -> None:
    with pytest.raises(RevisionNotFoundError):
        HfApi(endpoint=endpoint, token=False).model_info("org/open", revision="v9")


def test_a_file_that_is_not_there_is_told_so(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(EntryNotFoundError):
        hf_hub_download("org/open", "none.bin", endpoint=endpoint, cache_dir=tmp_path, token=False)


def test_a_private_repository_is_there_only_for_its_token(endpoint: str, tmp_path: Path) -> None:
    for token in (False, "hf_wrong"):
        with pytest.raises(RepositoryNotFoundError):
            HfApi(endpoint=endpoint, token=token).model_info("org/closed")
    asked = {"endpoint": endpoint, "cache_dir": tmp_path}
    folder = Path(snapshot_download("org/closed", token="hf_test", **asked))
    assert [file.name for file in folder.iterdir()] == ["config.json"]


def test_a_gated_repository_is_seen_by_everyone(endpoint: str) -> None:
    api = HfApi(endpoint=endpoint, token=False)
    assert api.model_info("org/gated").gated == "manual"
    assert not api.model_info("org/open").gated
    assert [entry.path for entry in api.list_repo_tree("org/gated")] == ["config.json"]


@pytest.mark.parametrize(("token", "status"), [(False, 401), ("hf_somebody_else", 403)])
def test_a_gated_repositorys_files_are_not_for_everyone(
    endpoint: str, tmp_path: Path, token: str | bool, status: int
) -> None:
    asked = {"endpoint": endpoint, "cache_dir": tmp_path, "token": token}
    with pytest.raises(GatedRepoError) as refused:
        snapshot_download("org/gated", **asked)
    assert refused.value.response.status_code == status
    with pytest.raises(GatedRepoError):
        hf_hub_download("org/gated", "config.json", **asked)


def test_a_gated_repositorys_files_are_for_who_was_granted_access(endpoint: str, tmp_path: Path) -> None:
    folder = Path(snapshot_download("org/gated", endpoint=endpoint, cache_dir=tmp_path, token="hf_test"))
    assert [file.name for file in folder.iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    "path",
    [
        "/org/closed/resolve/main/.private",
        "/org/gated/resolve/main/.gated",
        "/org/open/resolve/main/../closed/.private",
    ],
)
def test_nothing_but_a_repositorys_files_is_served(endpoint: str, path: str) -> None:
    request = requests.Request("GET", endpoint + path, headers={"Authorization": "Bearer hf_test"}).prepare()
    request.url = endpoint + path
    with requests.Session() as session:
        assert session.send(request).status_code in (401, 404)


def test_a_broken_download_goes_on_where_it_ended(endpoint: str) -> None:
    url = f"{endpoint}/org/open/resolve/main/model.safetensors"
    rest = requests.get(url, headers={"Range": "bytes=1000-"}, timeout=5)
    assert (rest.status_code, rest.content) == (206, WEIGHTS[1000:])
    assert rest.headers["Content-Range"] == f"bytes 1000-{len(WEIGHTS) - 1}/{len(WEIGHTS)}"
    assert requests.get(url, headers={"Range": "bytes=99999999-"}, timeout=5).status_code == 416


@pytest.fixture
def writer(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> HfApi:
    """The client of whoever may write; by LFS, since there is no server of Xet's."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    return HfApi(endpoint=endpoint, token="hf_writer")


def test_a_repository_is_created_private_and_once(writer: HfApi, endpoint: str) -> None:
    writer.create_repo("org/new", private=True)
    writer.create_repo("org/new", private=True, exist_ok=True)
    with pytest.raises(HfHubHTTPError) as refused:
        writer.create_repo("org/new", private=True)
    assert refused.value.response.status_code == 409
    assert writer.model_info("org/new").private
    with pytest.raises(RepositoryNotFoundError):
        HfApi(endpoint=endpoint, token=False).model_info("org/new")


def test_a_folder_goes_up_as_one_commit_and_comes_back(writer: HfApi, tmp_path: Path) -> None:
    export = tmp_path / "export"
    for name, content in {"model.safetensors": WEIGHTS, "deep/config.json": b"{}", "README.md": b"---\n---\n"}.items():
        (export / name).parent.mkdir(parents=True, exist_ok=True)
        (export / name).write_bytes(content)
    writer.create_repo("org/new", private=True)
    commit = writer.upload_folder(repo_id="org/new", folder_path=export, delete_patterns="*")
    assert writer.model_info("org/new").sha == commit.oid
    folder = Path(writer.snapshot_download("org/new", revision=commit.oid, cache_dir=tmp_path / "cache"))
    assert {name: (folder / name).read_bytes() for name in ("model.safetensors", "deep/config.json")} == {
        "model.safetensors": WEIGHTS,
        "deep/config.json": b"{}",
    }
    (export / "model.safetensors").write_bytes(WEIGHTS[::-1])
    assert writer.upload_folder(repo_id="org/new", folder_path=export).oid != commit.oid, "of the same size"


def test_a_branch_begins_at_main_and_goes_its_own_way(writer: HfApi, endpoint: str, tmp_path: Path) -> None:
    writer.create_branch("org/open", branch="tuned")
    writer.upload_file(path_or_fileobj=b"tuned", path_in_repo="config.json", repo_id="org/open", revision="tuned")
    asked = {"endpoint": endpoint, "token": False, "cache_dir": tmp_path}
    contents = [
        Path(hf_hub_download("org/open", "config.json", revision=revision, **asked)).read_bytes()
        for revision in ("main", "tuned")
    ]
    assert contents == [b'{"model_type": "llama"}', b"tuned"]


def test_a_commit_on_a_branch_that_has_moved_is_refused(writer: HfApi) -> None:
    before = writer.model_info("org/open").sha
    writer.upload_file(path_or_fileobj=b"1", path_in_repo="one", repo_id="org/open")
    with pytest.raises(HfHubHTTPError) as refused:
        writer.upload_file(path_or_fileobj=b"2", path_in_repo="two", repo_id="org/open", parent_commit=before)
    assert refused.value.response.status_code == 412


def test_a_card_with_a_base_model_of_elsewhere_is_refused(writer: HfApi) -> None:
    card = {"path_in_repo": "README.md", "repo_id": "org/open"}
    writer.upload_file(path_or_fileobj=b"---\nbase_model: org/base\n---\n", **card)
    with pytest.raises(ValueError, match="Invalid metadata"):
        writer.upload_file(path_or_fileobj=b"---\nbase_model: pvc://models/base\n---\n", **card)


@pytest.mark.parametrize(("token", "status"), [(False, 401), ("hf_test", 403)])
def test_only_who_may_write_does(endpoint: str, token: str | bool, status: int) -> None:
    api = HfApi(endpoint=endpoint, token=token)
    with pytest.raises(HfHubHTTPError) as refused:
        api.upload_file(path_or_fileobj=b"1", path_in_repo="one", repo_id="org/open")
    assert refused.value.response.status_code == status
    with pytest.raises(HfHubHTTPError):
        api.auth_check("org/open", write=True)
    api.auth_check("org/open")


def test_what_arrives_by_half_or_as_something_else_is_not_kept(endpoint: str, root: Path) -> None:
    oid = hashlib.sha256(WEIGHTS).hexdigest()
    assert requests.put(f"{endpoint}/lfs/{oid}", data=WEIGHTS[:-1], timeout=5).status_code == 400
    told = [
        {"key": "header", "value": {"summary": "x"}},
        {"key": "lfsFile", "value": {"path": "w", "oid": oid, "size": len(WEIGHTS)}},
    ]
    body = "\n".join(map(json.dumps, told)).encode()
    headers = {"Authorization": "Bearer hf_writer"}
    answer = requests.post(f"{endpoint}/api/models/org/open/commit/main", data=body, headers=headers, timeout=5)
    assert answer.status_code == 400
    assert not (root / "models/org/open/w").exists()
