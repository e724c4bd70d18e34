"""One file from a web site that cuts, lies, refuses and redirects."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.trainer.storage.pages import Request, page

from skipjack_trainer.errors import AccessDenied, DataNotFound, StorageFailed, TrainerError
from skipjack_trainer.storage.https import PATIENCE, Https
from skipjack_trainer.storage.patience import Patience

CONTENT = bytes(range(256)) * 1024


def store(url: str, token: str | None = None) -> Https:
    return Https(url, token, Patience(first_pause_seconds=0.01))


def fetched(url: str, into: Path, token: str | None = None) -> bytes:
    return store(url, token).get("train.jsonl", into).read_bytes()


def test_a_download_that_is_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    with page(lambda request: request.serve(CONTENT, cut=100_000)) as served:
        assert fetched(served.url, tmp_path) == CONTENT
        assert [headers.get("Range") for headers in served.asked] == [
            None,
            "bytes=65536-",
            "bytes=131072-",
            "bytes=196608-",
        ]


def test_a_file_that_changed_between_two_tries_is_never_put_together_from_both(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if len(served.asked) == 1:
            request.serve(b"old" * 100_000, cut=150_000)
        else:
            request.serve(CONTENT, version='"v2"')

    with page(answer) as served:
        assert fetched(served.url, tmp_path) == CONTENT
        assert served.asked[1]["If-Range"] == '"v1"'


@pytest.mark.parametrize("version", [None, 'W/"weak"'])
def test_without_a_name_for_the_content_a_cut_download_begins_anew(version: str | None, tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.serve(CONTENT, cut=100_000 if len(served.asked) == 1 else None, version=version)

    with page(answer) as served:
        assert fetched(served.url, tmp_path) == CONTENT
        assert all("Range" not in headers for headers in served.asked)


def test_a_site_that_ignores_ranges_is_read_from_the_start(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        request.reply(200, CONTENT, cut=100_000 if len(served.asked) == 1 else None, ETag='"v1"')

    with page(answer) as served:
        assert fetched(served.url, tmp_path) == CONTENT


def test_a_range_that_no_longer_fits_begins_anew(tmp_path: Path) -> None:
    def answer(request: Request) -> None:
        if "Range" in request.headers:
            request.reply(416, Content_Range="bytes */3")
        else:
            request.serve(CONTENT, cut=100_000 if len(served.asked) == 1 else None)

    with page(answer) as served:
        assert fetched(served.url, tmp_path) == CONTENT


def test_a_short_body_is_never_taken_for_the_whole(tmp_path: Path) -> None:
    with (
        page(lambda request: request.reply(200, CONTENT, cut=100)) as served,
        pytest.raises(StorageFailed, match=f"gave up after {PATIENCE.tries} tries"),
    ):
        fetched(served.url, tmp_path)
    assert len(served.asked) == PATIENCE.tries
    assert not (tmp_path / "train.jsonl").exists()


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_what_passes_is_asked_for_again(status: int, tmp_path: Path) -> None:
    with page(lambda request: request.serve(CONTENT) if len(served.asked) > 2 else request.reply(status)) as served:
        assert fetched(served.url, tmp_path) == CONTENT


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (401, AccessDenied, "401.*spec.credentials"),
        (403, AccessDenied, "403.*spec.credentials"),
        (404, DataNotFound, "404: there is nothing there"),
        (410, DataNotFound, "410"),
        (400, StorageFailed, "400"),
    ],
)
def test_what_stays_is_told_at_once_by_url(status: int, error: type[TrainerError], words: str, tmp_path: Path) -> None:
    with page(lambda request: request.reply(status)) as served:
        with pytest.raises(error, match=words) as caught:
            fetched(served.url, tmp_path)
        assert served.url in str(caught.value)
        assert len(served.asked) == 1


def test_it_gives_up_within_bounds(tmp_path: Path) -> None:
    with page(lambda request: request.reply(503)) as served:
        begun = time.monotonic()
        with pytest.raises(StorageFailed, match="503"):
            fetched(served.url, tmp_path)
        assert time.monotonic() - begun < 2
    assert sum(PATIENCE.pause_seconds(attempt) for attempt in range(PATIENCE.tries - 1)) < 10


def test_a_site_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="Connection refused"):
        fetched("http://127.0.0.1:9/train.jsonl", tmp_path)


def test_a_token_is_sent_to_its_own_host_and_never_to_one_that_it_redirects_to(tmp_path: Path) -> None:
    with page(lambda request: request.serve(CONTENT), "localhost") as elsewhere:
        other = elsewhere.url.replace("127.0.0.1", "localhost")
        with page(lambda request: request.reply(302, Location=other)) as served:
            assert fetched(served.url, tmp_path, "secret") == CONTENT
            assert served.asked[0]["Authorization"] == "Bearer secret"
        assert "Authorization" not in elsewhere.asked[0]
