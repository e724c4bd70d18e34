"""What every storage scheme does alike, each on what it stands on in a pod; the hub and the web are real servers here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.hub.server import serve
from tests.support.buckets import Server
from tests.support.serving import serving
from tests.trainer.storage.sites import site

from skipjack_trainer.errors import ConfigurationInvalid, DataNotFound, ModelNotFound, NoSpace, TrainerError
from skipjack_trainer.storage import SCHEMES, Access, Entry, Located, Store, bring, open_store
from skipjack_trainer.storage.https import Https
from skipjack_trainer.storage.objects import Objects

ROWS = b'{"text": "one"}\n'
OBJECTS = ("az", "gs", "s3")
FOLDER = ("hf", "pvc", *OBJECTS)
WRITABLE = ("pvc", *OBJECTS)


def access(root: Path) -> Access:
    return Access(root / "claims", root / "configmaps", root / "credentials", root / "scratch")


@pytest.fixture(params=sorted(SCHEMES))
def located(
    request: pytest.FixtureRequest,
    object_store: Callable[[str], Server],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Located]:
    """rows.jsonl in a store of each scheme; those that have folders hold deep/rows.jsonl too."""
    places = {
        "configmap": ["configmaps/data/rows.jsonl"],
        "hf": ["hub/datasets/org/data/rows.jsonl", "hub/datasets/org/data/deep/rows.jsonl"],
        "pvc": ["claims/data/rows.jsonl", "claims/data/deep/rows.jsonl"],
    }
    for place in places.get(request.param, ()):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_bytes(ROWS)
    match request.param:
        case "hf":
            server = serve(tmp_path / "hub", "127.0.0.1", 0)
            monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
            with serving(server):
                yield open_store("hf://datasets/org/data/rows.jsonl", access(tmp_path))
        case "https":
            with site(
                lambda asked: asked.serve(ROWS) if asked.path.endswith("/rows.jsonl") else asked.reply(404)
            ) as served:
                store = Https(served.url.replace("train", "rows"), None)
                yield Located(store, store.name)
        case scheme if scheme in OBJECTS:
            store, path = open_store(f"{scheme}://data/rows.jsonl", object_store(scheme).access(tmp_path))
            for entry in store.list():
                store.delete(entry.path)
            (tmp_path / "rows.jsonl").write_bytes(ROWS)
            for place in ("rows.jsonl", "deep/rows.jsonl"):
                store.put(tmp_path / "rows.jsonl", place)
            yield Located(store, path)
        case scheme:
            yield open_store(f"{scheme}://data/rows.jsonl", access(tmp_path))


def scheme_of(store: Store) -> str:
    if isinstance(store, Objects):
        return store.bucket.uri.partition("://")[0]
    return type(store).__module__.rpartition(".")[2].replace("folder", "pvc")


def test_a_file_is_listed_with_its_size(located: Located) -> None:
    store, path = located
    assert Entry(path, len(ROWS)) in store.list()
    if scheme_of(store) in FOLDER:
        assert store.list("deep/") == [Entry("deep/rows.jsonl", len(ROWS))]


def test_a_file_is_brought_whole_and_where_it_is_told(located: Located, tmp_path: Path) -> None:
    store, path = located
    assert store.get(path, tmp_path / "into").read_bytes() == ROWS
    assert [place.read_bytes() for place in bring(store, store.list(path), tmp_path / "more")] == [ROWS]
    if scheme_of(store) in FOLDER:
        assert store.get("deep/rows.jsonl", tmp_path / "into") == tmp_path / "into/deep/rows.jsonl"


def test_what_is_there_exists_and_what_is_not_is_told_by_name(located: Located, tmp_path: Path) -> None:
    store, path = located
    assert store.exists(path)
    if scheme_of(store) == "https":
        store.url = store.url.replace("rows.jsonl", "none.jsonl")  # type: ignore[attr-defined]
    assert not store.exists("none.jsonl")
    with pytest.raises((DataNotFound, ModelNotFound), match=r"none\.jsonl|hf://datasets/org/data"):
        store.get("none.jsonl", tmp_path / "into")


def test_a_place_on_this_machine_is_told_only_when_the_file_is_there(located: Located) -> None:
    store, path = located
    here = store.local(path)
    assert here is None or here.read_bytes() == ROWS
    assert (here is not None) is (scheme_of(store) in ("pvc", "configmap"))
    assert store.local("none.jsonl") is None


def test_what_can_be_written_is_written_whole_and_taken_away_and_what_can_only_be_read_says_so(
    located: Located, tmp_path: Path
) -> None:
    store, _ = located
    new = tmp_path / "new"
    new.write_bytes(b"new")
    if scheme_of(store) not in WRITABLE:
        for refused in (lambda: store.put(new, "new"), lambda: store.delete("new")):
            with pytest.raises(ConfigurationInvalid, match="can only be read"):
                refused()
        return
    store.put(new, "a/b/new")
    store.put(new, "a/b/new")
    assert store.get("a/b/new", tmp_path / "into").read_bytes() == b"new"
    assert [entry.path for entry in store.list("a")] == ["a/b/new"], "nothing half written is left"
    store.delete("a/b/new")
    store.delete("a/b/new")
    assert not store.exists("a/b/new")
    store.put(new, "a/c/new")
    store.delete("a")
    assert store.list("a") == []


def test_more_than_there_is_room_for_is_refused_before_it_begins(located: Located, tmp_path: Path) -> None:
    store, path = located
    with pytest.raises(NoSpace, match=r"1,073,741,824,000 MiB are to be fetched.*scratch volume"):
        bring(store, [Entry(path, 2**50 * 1000)], tmp_path / "into")
    assert not list((tmp_path / "into").iterdir())


def test_no_path_leads_out_of_a_claim(tmp_path: Path) -> None:
    (tmp_path / "claims/data").mkdir(parents=True)
    (tmp_path / "claims/data/link").symlink_to("/etc")
    for path in ("../secret", "link/passwd", "/etc/passwd"):
        store, inside = open_store(f"pvc://data/{path}", access(tmp_path))
        with pytest.raises(ConfigurationInvalid, match="leads out of it"):
            store.local(inside)


@pytest.mark.parametrize(
    ("uri", "words"), [("ftp://b/c", "no storage is called ftp://"), ("pvc://none/x", "claim none")]
)
def test_an_address_that_names_nothing_is_refused(uri: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=words):
        open_store(uri, access(tmp_path))
