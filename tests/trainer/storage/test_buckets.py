"""Object stores over lines that break: what comes is whole and right, what goes appears whole or not at all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.buckets import Server
from tests.support.faults import FINE, End, Fault, line, refusal

from skipjack_trainer.errors import StorageFailed, TrainerError
from skipjack_trainer.storage import Entry, az, gs, s3, send
from skipjack_trainer.storage.base import Access
from skipjack_trainer.storage.objects import FIRST_BYTES, PART_BYTES, Objects, Patience

OPENERS = {"az": az.open_uri, "gs": gs.open_uri, "s3": s3.open_uri}
QUICK = Patience(retries=10, first_pause_seconds=0.01, longest_pause_seconds=0.1, silence_seconds=10)
IMPATIENT = replace(QUICK, silence_seconds=1)
BIG = os.urandom(2 * PART_BYTES + 4_321)
CUT_BYTES = 3_000_000


@pytest.fixture(params=sorted(OPENERS))
def server(request: pytest.FixtureRequest, object_store: Callable[[str], Server]) -> Server:
    return object_store(request.param)


def store(scheme: str, access: Access, patience: Patience = QUICK) -> Objects:
    opened = OPENERS[scheme](f"{scheme}://data", access, patience).store
    assert isinstance(opened, Objects)
    return opened


def through(server: Server, root: Path, port: int | None = None, end: End = End.CLOSE) -> Objects:
    """The store by way of the line at `port`, whose connections end so."""
    return store(server.scheme, server.access(root, port), IMPATIENT if end is End.STALL else QUICK)


def stored(server: Server, root: Path, content: bytes, path: str = "big.bin") -> None:
    file = root / "content"
    file.write_bytes(content)
    through(server, root).put(file, path)


@pytest.mark.parametrize("end", End)
def test_a_download_that_is_cut_goes_on_where_it_was(server: Server, end: End, tmp_path: Path) -> None:
    stored(server, tmp_path, BIG)
    with line(server.port, lambda number: Fault(down_bytes=CUT_BYTES, end=end)) as broken:
        assert through(server, tmp_path, broken.port, end).get("big.bin", tmp_path / "into").read_bytes() == BIG
        assert broken.cut > 2
        if end is not End.RESET:  # which takes back what was under way
            assert broken.down_bytes < len(BIG) + broken.connections * 2**16, "what came is not fetched again"


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_store_that_is_busy_is_asked_again_later(server: Server, status: int, tmp_path: Path) -> None:
    stored(server, tmp_path, BIG)
    with line(server.port, lambda number: refusal(status, "SlowDown") if number < 3 else FINE) as busy:
        assert through(server, tmp_path, busy.port).get("big.bin", tmp_path / "into").read_bytes() == BIG


def test_an_object_that_is_replaced_meanwhile_is_never_put_together_from_both(server: Server, tmp_path: Path) -> None:
    stored(server, tmp_path, BIG)
    changed = BIG[::-1]

    def replacing(number: int) -> Fault:
        if number == 1:
            stored(server, tmp_path, changed)
        return FINE

    with line(server.port, replacing) as watched:
        got = through(server, tmp_path, watched.port).get("big.bin", tmp_path / "into").read_bytes()
    assert got == changed


def test_what_never_comes_whole_is_told_and_not_there(server: Server, tmp_path: Path) -> None:
    stored(server, tmp_path, BIG)
    with line(server.port, lambda number: Fault(down_bytes=0)) as dead:
        begun = time.monotonic()
        with pytest.raises(StorageFailed, match=rf"{server.scheme}://data/big\.bin: .*failed"):
            through(server, tmp_path, dead.port).get("big.bin", tmp_path / "into")
        assert time.monotonic() - begun < 10
    assert not list((tmp_path / "into").iterdir())


@pytest.mark.parametrize("end", [End.CLOSE, End.STALL])
def test_an_upload_that_is_cut_goes_on_part_by_part(server: Server, end: End, tmp_path: Path) -> None:
    (tmp_path / "up").write_bytes(BIG)
    with line(server.port, lambda number: Fault(up_bytes=CUT_BYTES, end=end) if number < 2 else FINE) as broken:
        through(server, tmp_path, broken.port, end).put(tmp_path / "up", "up.bin")
        assert broken.cut
    assert through(server, tmp_path).get("up.bin", tmp_path / "into").read_bytes() == BIG


def test_several_large_files_take_no_more_memory_than_one(server: Server, tmp_path: Path) -> None:
    files = {f"large-{number}.bin": tmp_path / "up" for number in range(4)}
    (tmp_path / "up").write_bytes(BIG)
    with line(server.port, lambda number: FINE) as watched:
        send(through(server, tmp_path, watched.port), files)
        assert watched.connections <= 4, "parts of one file only are on their way"


def test_an_upload_that_fails_leaves_what_was_there(server: Server, tmp_path: Path) -> None:
    stored(server, tmp_path, b"before", "kept.bin")
    (tmp_path / "up").write_bytes(BIG)
    with line(server.port, lambda number: Fault(up_bytes=CUT_BYTES)) as broken:
        for path in ("kept.bin", "new.bin"):
            with pytest.raises(StorageFailed):
                through(server, tmp_path, broken.port).put(tmp_path / "up", path)
    whole = through(server, tmp_path)
    assert whole.get("kept.bin", tmp_path / "into").read_bytes() == b"before"
    assert not whole.exists("new.bin")
    if server.scheme == "s3":
        assert not list((server.folder / "data/.sgwtmp/multipart").iterdir()), "an upload that is given up is aborted"


@pytest.mark.parametrize("size", [0, 1, FIRST_BYTES, FIRST_BYTES + 1, FIRST_BYTES + PART_BYTES])
def test_objects_of_every_size_come_back_as_they_went(server: Server, size: int, tmp_path: Path) -> None:
    stored(server, tmp_path, BIG[:size], "sized.bin")
    opened = through(server, tmp_path)
    assert opened.get("sized.bin", tmp_path / "into").read_bytes() == BIG[:size]
    assert opened.list("sized.bin") == [Entry("sized.bin", size)]


@pytest.mark.parametrize("name", ["a b.txt", "ä.txt", "50%.txt", "a+b=c&d.txt", "~[x]{y}.txt"])
def test_a_name_is_kept_as_it_is(server: Server, name: str, tmp_path: Path) -> None:
    stored(server, tmp_path, b"named", f"names/{name}")
    opened = through(server, tmp_path)
    assert Entry(f"names/{name}", 5) in opened.list("names")
    assert opened.get(f"names/{name}", tmp_path / "into") == tmp_path / "into/names" / name


def test_a_folder_is_told_from_one_whose_name_begins_alike(server: Server, tmp_path: Path) -> None:
    stored(server, tmp_path, b"1", "run/a")
    stored(server, tmp_path, b"2", "run-2/a")
    opened = through(server, tmp_path)
    assert [entry.path for entry in opened.list("run")] == ["run/a"]
    assert not opened.exists("ru")
    opened.delete("run")
    assert opened.exists("run-2")
    assert not opened.exists("run")


def test_an_empty_object_that_stands_for_a_folder_is_no_file(
    object_store: Callable[[str], Server], tmp_path: Path
) -> None:
    server = object_store("s3")
    for folder in ("made", "made/deep"):
        # What versitygw keeps of an object `made/`.
        (server.folder / "data" / folder).mkdir()
        os.setxattr(server.folder / "data" / folder, "user.etag", b'"d41d8cd98f00b204e9800998ecf8427e"')
    opened = through(server, tmp_path)
    assert not opened.exists("made/deep")
    stored(server, tmp_path, b"x", "made/deep/a")
    assert opened.list("made") == [Entry("made/deep/a", 1)]


def test_a_path_that_climbs_is_fetched_nowhere(server: Server, tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="leads out"):
        through(server, tmp_path).get("../up", tmp_path / "into")
