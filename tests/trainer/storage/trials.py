"""What every storage scheme is tried for, each trial in a place of its own; it returns the word that docs/storage.md has for what was seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pydantic import ValidationError
from tests.builders import spec
from tests.trainer.storage.pages import page
from tests.trainer.storage.sites import Site
from tests.trainer.storage.tried import (
    CUT_BYTES,
    LARGE,
    ROWS,
    broken_off,
    can_write,
    folder,
    output,
    secrets,
    sizes,
    written,
)

from skipjack.protocol import Result
from skipjack_trainer.engine.checkpoint import Checkpoints
from skipjack_trainer.errors import (
    AccessDenied,
    ConfigurationInvalid,
    DataNotFound,
    ModelNotFound,
    OutputExists,
    StorageFailed,
)
from skipjack_trainer.storage import open_store

YES, NO_NETWORK, ONLY_READ = "yes", "–", "only read"


def lists(site: Site, into: Path) -> str:
    site.seed("lists", "rows.jsonl", ROWS)
    if not site.has_folders:
        store, path = site.open("lists", "rows.jsonl")
        assert [(entry.path, entry.size_bytes) for entry in store.list()] == [(path, len(ROWS))]
        return "one file" if path == "rows.jsonl" else YES
    for name in ("deep/more.jsonl", "deeper.jsonl"):
        site.seed("lists", name, ROWS * 2)
    store, path = site.open("lists")
    within = f"{path}/".lstrip("/")
    assert sizes(store, path) == {
        "deep/more.jsonl": 2 * len(ROWS),
        "deeper.jsonl": 2 * len(ROWS),
        "rows.jsonl": len(ROWS),
    }
    for folder_named in (f"{within}deep/", f"{within}deep"):
        assert [entry.path for entry in store.list(folder_named)] == [f"{within}deep/more.jsonl"]
    hashed = {entry.digest for entry in store.list(path)} - {None}
    assert hashed <= {hashlib.sha256(ROWS * times).hexdigest() for times in (1, 2)}, "where it is told, it is theirs"
    return YES


def gets(site: Site, into: Path) -> str:
    site.seed("gets", "rows.jsonl", ROWS)
    store, path = site.open("gets", "rows.jsonl")
    place = store.local(path) or store.get(path, into)
    assert place.read_bytes() == ROWS
    if site.has_folders:
        site.seed("gets", "deep/more.jsonl", LARGE)
        store, path = site.open("gets", "deep/more.jsonl")
        assert store.get(path, into) == into / path
        assert (into / path).read_bytes() == LARGE
    return YES


def exists(site: Site, into: Path) -> str:
    site.seed("exists", "rows.jsonl", ROWS)
    store, path = site.open("exists", "rows.jsonl")
    assert store.exists(path)
    store, path = site.open("exists", "none.jsonl")
    assert not store.exists(path)
    with pytest.raises((DataNotFound, ModelNotFound), match=r"none\.jsonl"):
        store.get(path, into)
    assert store.local(path) is None
    return YES


def puts(site: Site, into: Path) -> str:
    site.seed("puts", "old.jsonl", ROWS)
    store, path = site.open("puts", "a/b/new")
    for content in (b"first", LARGE, b""):
        if not can_write(partial(store.put, written(into, content), path)):
            return ONLY_READ
        again, path = site.open("puts", "a/b/new")
        assert again.get(path, into).read_bytes() == content
        assert sizes(again, site.open("puts").path) == {"old.jsonl": len(ROWS), "a/b/new": len(content)}
    return YES


def deletes(site: Site, into: Path) -> str:
    for name in ("kept", "gone", "folder/one", "folder/two"):
        site.seed("deletes", name, ROWS)
    store, path = site.open("deletes", "gone")
    if not can_write(partial(store.delete, path)):
        return ONLY_READ
    store.delete(path)
    assert not store.exists(path)
    store.delete(site.open("deletes", "folder").path)
    again, path = site.open("deletes")
    assert sizes(again, path) == {"kept": len(ROWS)}
    return YES


def a_cut_download(site: Site, into: Path) -> str:
    if site.front is None:
        return NO_NETWORK
    site.seed("download", "rows.jsonl", LARGE)
    site.front.faults.cut_after_bytes, site.front.faults.downloads = CUT_BYTES, 1
    store, path = site.open("download", "rows.jsonl")
    assert store.get(path, into).read_bytes() == LARGE
    assert site.front.faults.downloads == 0, "it was cut"
    # A sixteenth may have been on its way when the line broke.
    return "goes on" if site.front.sent_bytes < len(LARGE) * 17 / 16 else "begins anew"


def a_cut_upload(site: Site, into: Path) -> str:
    if site.front is None:
        return NO_NETWORK
    site.seed("upload", "old.jsonl", ROWS)
    store, path = site.open("upload", "new.jsonl")
    site.front.faults.cut_after_bytes, site.front.faults.uploads = CUT_BYTES, 1
    if not can_write(partial(store.put, written(into, LARGE), path)):
        return ONLY_READ
    assert site.front.faults.uploads == 0, "it was cut"
    again, path = site.open("upload", "new.jsonl")
    assert again.get(path, into).read_bytes() == LARGE
    return "goes on" if site.front.taken_bytes < len(LARGE) * 5 / 4 else "begins anew"


def a_busy_server(site: Site, into: Path) -> str:
    if site.front is None:
        return NO_NETWORK
    site.seed("busy", "rows.jsonl", ROWS)
    site.front.faults.busy = 2
    store, path = site.open("busy", "rows.jsonl")
    assert store.get(path, into).read_bytes() == ROWS
    return "asked again"


def a_redirect(site: Site, into: Path) -> str:
    """What opens a store is for its own host alone."""
    if site.front is None:
        return NO_NETWORK
    site.seed("redirect", "rows.jsonl", ROWS)
    store, path = site.open("redirect", "rows.jsonl")
    with page(lambda asked: asked.serve(ROWS), "localhost") as other:
        site.front.faults.elsewhere = other.url.replace("127.0.0.1", "localhost")
        try:
            assert store.get(path, into).read_bytes() == ROWS
            word = "followed without it"
        except StorageFailed:
            word = "not followed"
    own = [asked.headers for asked in site.front.asked]
    if not any("Authorization" in headers for headers in own):
        return "the emulator wants none"
    for headers in other.asked:
        assert "authorization" not in str(headers).lower()
        assert not any(secret in str(headers) for secret in secrets(site))
    return word


def a_password(site: Site, into: Path) -> str:
    uri = site.uri("password", "rows.jsonl").replace("://", "://me:secret@")
    folder = site.uri("password").replace("://", "://me:secret@")
    for changes in (
        {"dataset": {"train": [{"uri": uri}]}},
        {"model": folder},
        {"startFrom": {"uri": folder}},
        {"output": {"uri": folder}},
    ):
        with pytest.raises(ValidationError):
            spec(**changes)
    with pytest.raises(ConfigurationInvalid, match="no user or password") as refused:
        open_store(uri, site.access)
    assert "secret" not in str(refused.value), "it isn't told to whoever reads the log"
    return "refused"


def anothers_result(site: Site, into: Path) -> str:
    try:
        first = output(site, "result", uid="uid-1")
    except ValidationError:
        return ONLY_READ
    assert first.finished() is None
    told = first.store_result(folder(into, {"config.json": b"{}", "deep/weights": LARGE}), Result(message="done"))
    again = output(site, "result", uid="uid-1").finished()
    assert again is not None, "a job that was interrupted right after finds its own"
    assert again.output_digest == told.output_digest
    other = output(site, "result", uid="uid-2")
    with pytest.raises(OutputExists, match="ifExists: Replace"):
        other.finished()
    other = output(site, "result", uid="uid-2", if_exists="Replace")
    assert other.finished() is None
    other.store_result(folder(into, {"config.json": b"{...}"}), Result(message="done"))
    store, path = site.open("result")
    assert sizes(store, path).keys() == {"config.json", "skipjack.json"}
    return "refused"


def half_an_upload(site: Site, into: Path) -> str:
    """A job that dies in the middle of it leaves nothing that anybody takes for a result."""
    try:
        own = output(site, "half", uid="uid-1")
    except ValidationError:
        return ONLY_READ
    assert own.finished() is None
    Checkpoints(*own.checkpoints, attempt=1, keep=1, scratch=into / "fence").raise_fence()
    files = folder(into, {"a": ROWS, "b": LARGE})
    with broken_off(site), pytest.raises((StorageFailed, AccessDenied)):
        own.store_result(files, Result())
    assert output(site, "half", uid="uid-1").finished() is None, "the same job begins again"
    store, path = site.open("half")
    there = {name: size for name, size in sizes(store, path).items() if not name.startswith(".skipjack/")}
    assert set(there.values()) <= {len(ROWS), len(LARGE)}, "what is there is whole"
    return "never taken for whole"


TRIALS: dict[str, Callable[[Site, Path], str]] = {
    "list": lists,
    "get": gets,
    "exists": exists,
    "put": puts,
    "delete": deletes,
    "a download that is cut": a_cut_download,
    "an upload that is cut": a_cut_upload,
    "a server that is busy": a_busy_server,
    "a redirect to another host, and the credential": a_redirect,
    "a password in the URI": a_password,
    "another job's result": anothers_result,
    "half an upload": half_an_upload,
}
