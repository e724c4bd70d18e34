"""oci://: what of a registry is no artifact of files, what comes damaged, and lines that break more than once."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.trainer import tiny
from tests.trainer.storage.pages import Request, page
from tests.trainer.storage.sites import Site
from tests.trainer.storage.sites.registry import opened, oras

from skipjack_trainer.data.sources import fetch
from skipjack_trainer.digests import files_in
from skipjack_trainer.errors import ConfigurationInvalid, DataInvalid, DataNotFound, StorageFailed
from skipjack_trainer.model import fetch_model
from skipjack_trainer.storage import Access, open_store
from skipjack_trainer.storage.login import Login
from skipjack_trainer.storage.oci import ARTIFACT, MANIFEST, NO_CONFIG, TITLE, Artifact, is_loopback, parsed
from skipjack_trainer.storage.patience import Patience
from skipjack_trainer.storage.registry import Registry

LARGE = bytes(range(256)) * 8000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened(tmp_path_factory.mktemp("oci")) as site:
        yield site


@pytest.fixture
def store(site: Site, request: pytest.FixtureRequest) -> Artifact:
    """An artifact that is not there yet."""
    assert site.front
    site.front.calm()
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    made = site.open(name).store
    assert isinstance(made, Artifact)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "export"
    (made / "deep").mkdir(parents=True)
    (made / "deep/weights").write_bytes(LARGE)
    (made / "config.json").write_bytes(b"{}")
    return made


def test_an_upload_that_breaks_again_and_again_goes_on_each_time(site: Site, store: Artifact, folder: Path) -> None:
    assert site.front
    store.registry.patience = store.registry.patience.__class__(tries=3, first_pause_seconds=0.01)
    site.front.faults.cut_after_bytes, site.front.faults.uploads = len(LARGE) // 8, 6
    store.replace(files_in(folder), {})
    assert site.front.faults.uploads == 0
    assert site.front.taken_bytes < 1.5 * len(LARGE)
    assert store.get("deep/weights", folder / "again").read_bytes() == LARGE


def test_what_the_registry_has_already_is_not_sent_again(site: Site, store: Artifact, folder: Path) -> None:
    assert site.front
    store.replace(files_in(folder), {})
    site.front.calm()
    store.replace(files_in(folder), {"changed": "yes"})
    assert site.front.taken_bytes < 2000


def test_a_result_is_laid_out_as_oras_has_it(store: Artifact, folder: Path, tmp_path: Path) -> None:
    store.replace(files_in(folder), {"dev.skipjack.job": "team/job"})
    place = store.title.removeprefix("oci://")
    told = json.loads(oras("manifest", "fetch", place, cwd=tmp_path))
    assert (told["mediaType"], told["artifactType"], told["config"]) == (MANIFEST, ARTIFACT, NO_CONFIG)
    assert told["annotations"] == {"dev.skipjack.job": "team/job"}
    assert {layer["annotations"][TITLE]: layer["size"] for layer in told["layers"]} == {
        "config.json": 2,
        "deep/weights": len(LARGE),
    }
    shutil.rmtree(folder)
    oras("pull", place, cwd=tmp_path)
    assert (tmp_path / "deep/weights").read_bytes() == LARGE


def test_a_file_that_is_added_later_leaves_the_rest_and_whose_it_is(
    store: Artifact, folder: Path, tmp_path: Path
) -> None:
    store.replace(files_in(folder), {"dev.skipjack.job": "team/job"})
    store.put(folder / "config.json", "gguf/model.gguf")
    told = json.loads(oras("manifest", "fetch", store.title.removeprefix("oci://"), cwd=tmp_path))
    assert told["annotations"] == {"dev.skipjack.job": "team/job"}
    assert [entry.path for entry in store.list()] == ["config.json", "deep/weights", "gguf/model.gguf"]


def test_what_somebody_else_stores_meanwhile_is_left_as_it_is(site: Site, store: Artifact, folder: Path) -> None:
    assert not store.exists("")
    name = store.registry.repository.rpartition("/")[2]
    site.seed(name, "theirs", b"theirs")
    with pytest.raises(StorageFailed, match="was stored by somebody else meanwhile"):
        store.replace(files_in(folder), {})
    assert [entry.path for entry in site.open(name).store.list()] == ["theirs"]


def test_what_a_digest_names_is_read_and_never_written(store: Artifact, folder: Path, site: Site) -> None:
    store.replace(files_in(folder), {})
    uri = store.pinned(f"{store.title}/config.json")
    assert uri.startswith(f"{store.registry.title}@sha256:")
    assert uri.endswith("/config.json")
    pinned, path = open_store(uri, site.access)
    assert pinned.get(path, folder / "again").read_bytes() == b"{}"
    with pytest.raises(ConfigurationInvalid, match="never changes: name a tag"):
        pinned.put(folder / "config.json", "new")


def test_a_model_and_rows_that_oras_pushed_are_read_and_the_model_is_pinned(site: Site, tmp_path: Path) -> None:
    tiny.model().save_pretrained(tmp_path / "base")
    tiny.tokenizer().save_pretrained(tmp_path / "base")
    for file in (tmp_path / "base").iterdir():
        site.seed("base", f"base/{file.name}", file.read_bytes())
    for name in ("a.jsonl", "b.jsonl", "c.csv"):
        site.seed("rows", name, name.encode())
    uri = site.uri("base", "base")
    source = {"uri": site.uri("rows", "*.jsonl")}
    spec = tiny.resolved(model=uri, dataset={"train": [source], "validation": [{"uri": site.uri("rows", "a.jsonl")}]})
    folder, pinned = fetch_model(spec, site.access)
    assert (folder / "model.safetensors").read_bytes() == (tmp_path / "base/model.safetensors").read_bytes()
    assert pinned.model.uri.partition("@")[0] == uri.removesuffix(":v1/base")
    assert pinned.model.uri.endswith("/base")
    site.seed("base", "base/config.json", b"{}")
    again, _ = fetch_model(pinned, replace(site.access, scratch=tmp_path / "later"))
    assert (again / "config.json").read_bytes() == (tmp_path / "base/config.json").read_bytes()
    found = fetch(spec, site.access)
    assert [file.path.read_text() for file in found.train[0].files] == ["a.jsonl", "b.jsonl"]
    assert [file.name for file in found.validation[0].files] == ["a.jsonl"]


def test_a_folder_that_was_pushed_packed_is_told(store: Artifact, folder: Path) -> None:
    oras("push", store.title.removeprefix("oci://"), "deep", cwd=folder)
    with pytest.raises(DataInvalid, match="deep was pushed as a folder: push files, one by one"):
        store.list()


@pytest.fixture
def serving() -> Iterator[Callable[[dict[str, bytes]], Artifact]]:
    """A registry that serves these paths, be they what they are called or not."""
    pages: dict[str, bytes] = {}

    def answer(asked: Request) -> None:
        if asked.path in pages:
            asked.reply(200, pages[asked.path])
        else:
            asked.reply(404)

    with page(answer) as served:

        def of(content: dict[str, bytes]) -> Artifact:
            pages.update({f"/v2/a/b/{path}": body for path, body in content.items()})
            store = open_store(f"oci://127.0.0.1:{served.port}/a/b:v1", Access()).store
            assert isinstance(store, Artifact)
            return store

        yield of


def layer(title: str | None, content: bytes) -> dict[str, object]:
    told = {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}
    return told | ({"annotations": {TITLE: title}} if title else {})


def manifest(*layers: dict[str, object]) -> dict[str, bytes]:
    return {"manifests/v1": json.dumps({"layers": layers}).encode()}


def test_an_image_holds_no_files(serving: Callable[[dict[str, bytes]], Artifact]) -> None:
    with pytest.raises(DataInvalid, match="some of its layers have no title, as of an image"):
        serving(manifest(layer(None, b"layer"))).list()


def test_a_blob_that_is_not_what_its_digest_says_is_never_taken(
    serving: Callable[[dict[str, bytes]], Artifact], tmp_path: Path
) -> None:
    told = layer("rows.jsonl", b"rows")
    store = serving(manifest(told) | {f"blobs/{told['digest']}": b"wors"})
    with pytest.raises(StorageFailed, match="it is damaged there or on its way"):
        store.get("rows.jsonl", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_title_leads_out_of_no_folder(serving: Callable[[dict[str, bytes]], Artifact], tmp_path: Path) -> None:
    told = layer("../evil", b"rows")
    store = serving(manifest(told) | {f"blobs/{told['digest']}": b"rows"})
    with pytest.raises(ConfigurationInvalid, match="leads out of the folder"):
        store.get("../evil", tmp_path / "into")
    assert not (tmp_path / "evil").exists()


def test_a_file_that_is_not_there_is_told_beside_those_that_are(
    serving: Callable[[dict[str, bytes]], Artifact], tmp_path: Path
) -> None:
    with pytest.raises(DataNotFound, match=r"no file 'none'; there are rows\.jsonl"):
        serving(manifest(layer("rows.jsonl", b"rows"))).get("none", tmp_path)


@pytest.mark.parametrize("status", [204, 404, 405])
def test_whether_anything_may_be_stored_is_asked_by_an_upload_that_is_cancelled_where_that_can_be(status: int) -> None:
    def answer(asked: Request) -> None:
        told.append((asked.command, asked.path))
        asked.reply(202 if asked.command == "POST" else status, Location="/v2/a/b/blobs/uploads/1?state")

    told: list[tuple[str, str]] = []
    with page(answer) as served:
        Registry(f"http://127.0.0.1:{served.port}", "a/b", None, Patience()).refuse_strangers()
    assert told == [("POST", "/v2/a/b/blobs/uploads/"), ("DELETE", "/v2/a/b/blobs/uploads/1?state")]


def test_an_upload_that_a_registry_takes_elsewhere_goes_there_without_the_credential(folder: Path) -> None:
    def receive(asked: Request) -> None:
        asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        asked.reply(202 if asked.command == "PATCH" else 201, Location=f"{other.url}?more")

    def answer(asked: Request) -> None:
        if "Authorization" not in asked.headers:
            asked.reply(401, WWW_Authenticate='Basic realm="x"')
        elif asked.command == "POST":
            asked.reply(202, Location=other.url.replace("127.0.0.1", "localhost"))
        else:
            asked.reply(404)

    with page(receive, "localhost") as other, page(answer) as own:
        login = Login("ghcr", "me", "open sesame")
        registry = Registry(f"http://127.0.0.1:{own.port}", "a/b", login, Patience())
        registry.put_blob(folder / "deep/weights", "sha256:0")
    assert [headers.get("Authorization") for headers in other.asked] == [None, None]
    assert own.asked[-1]["Authorization"] == login.basic


@pytest.mark.parametrize(
    "uri", ["oci://ghcr.io", "oci://ghcr.io/Org/bot:v1", "oci://ghcr.io/a:v1@sha256:12", "oci://g/a/b:v 1"]
)
def test_what_names_no_artifact_is_refused(uri: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="an artifact is named as oci://"):
        parsed(uri)


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.9.0.1:5000", True),
        ("10.0.0.1:5000", False),
        ("ghcr.io", False),
    ],
)
def test_only_this_machine_is_spoken_to_without_tls_unasked(host: str, own: bool, tmp_path: Path) -> None:
    assert is_loopback(host) is own
    store = open_store(f"oci://{host}/a/b:v1", Access()).store
    assert isinstance(store, Artifact)
    assert store.registry.url.startswith("http://" if own else "https://")
    asked = open_store(f"oci://{host}/a/b:v1", Access(plain_registries=frozenset({"10.0.0.1:5000"}))).store
    assert isinstance(asked, Artifact)
    assert asked.registry.url.startswith("http://") is (own or host.startswith("10."))
