"""https://…: one file, resumed where it was cut, and never taken for whole when it is not."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import requests

from ..errors import AccessDenied, DataNotFound, StorageFailed
from .base import Access, Entry, Located, ReadOnly
from .patience import Passing, Patience, passes

PATIENCE = Patience()
TIMEOUT_SECONDS = (10, 60)
CHUNK_BYTES = 1 << 16
"""What is lost at most of what came when a line breaks."""


class RangeRefused(Passing):
    """The part that was asked for is none of the file any more: the next try begins anew."""


class Https(ReadOnly):
    """One URL. requests drops the Authorization header itself when a redirect leads to another host."""

    def __init__(self, url: str, token: str | None, patience: Patience = PATIENCE) -> None:
        self.url, self.token, self.patience = url, token, patience

    def list(self, prefix: str = "") -> list[Entry]:
        with self.patience.ask(lambda: self.ask("HEAD")) as answer:
            return [Entry(self.name, int(answer.headers.get("Content-Length", 0)))]

    @property
    def name(self) -> str:
        return Path(urlsplit(self.url).path).name or "data"

    def get(self, path: str, into: Path) -> Path:
        target = into / self.name
        target.parent.mkdir(parents=True, exist_ok=True)
        download = Download(self, target.with_name(target.name + ".partial"))
        self.patience.ask(download.go_on)
        download.partial.replace(target)
        return target

    def ask(self, verb: str, headers: dict[str, str] | None = None) -> requests.Response:
        """Raises Passing for what may pass, other TrainerErrors for what stays as it is."""
        asked = {"Accept-Encoding": "identity"} | (headers or {})
        if self.token:
            asked["Authorization"] = f"Bearer {self.token}"
        try:
            answer = requests.request(verb, self.url, headers=asked, stream=True, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise Passing(f"{self.url}: {error}") from error
        status = answer.status_code
        if status in (401, 403):
            raise AccessDenied(f"{self.url}: answered {status}. Name a Secret with a token for it in spec.credentials.")
        if status in (404, 410):
            raise DataNotFound(f"{self.url}: answered {status}: there is nothing there.")
        if status == requests.codes.requested_range_not_satisfiable:
            raise RangeRefused(f"{self.url}: answered {status} {answer.reason}")
        if passes(status):
            raise Passing(f"{self.url}: answered {status} {answer.reason}", answer.headers.get("Retry-After"))
        if not answer.ok:
            raise StorageFailed(f"{self.url}: answered {status} {answer.reason}.")
        return answer

    def exists(self, path: str) -> bool:
        try:
            self.patience.ask(lambda: self.ask("HEAD")).close()
        except DataNotFound:
            return False
        return True

    def local(self, path: str) -> Path | None:
        return None


class Download:
    """One file on its way: what came so far lies in `partial`."""

    def __init__(self, source: Https, partial: Path) -> None:
        self.source, self.partial = source, partial
        self.version: str | None = None
        """The server's name for the content: what came of another version is not gone on from."""
        partial.unlink(missing_ok=True)

    def go_on(self) -> None:
        """Appends what is missing. Raises Passing when the line breaks or fewer bytes come than were told."""
        have = self.partial.stat().st_size if self.partial.exists() and self.version else 0
        headers = {"Range": f"bytes={have}-", "If-Range": self.version} if have and self.version else {}
        try:
            answer = self.source.ask("GET", headers)
        except RangeRefused:
            self.version = None
            raise
        with answer:
            resumed = bool(have) and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            self.version = strong_version(answer)
            try:
                with self.partial.open("ab" if resumed else "wb") as sink:
                    for chunk in answer.iter_content(CHUNK_BYTES):
                        sink.write(chunk)
            except requests.RequestException as error:
                raise Passing(f"{self.source.url}: {error}") from error


def strong_version(answer: requests.Response) -> str | None:
    """What If-Range may hold (RFC 9110, 13.1.5): an entity tag that is not weak, or the time of the last change."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")


def open_uri(uri: str, access: Access) -> Located:
    store = Https(uri, access.token(uri))
    return Located(store, store.name)
