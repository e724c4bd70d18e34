"""https://…: one file, resumed where it was cut, and never taken for whole when it is not."""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import urlsplit

import requests

from ..errors import AccessDenied, DataNotFound, StorageFailed
from .base import Access, Entry, Located, ReadOnly

TRIES = 5
TIMEOUT_SECONDS = (10, 60)


class Https(ReadOnly):
    """One URL. requests drops the Authorization header itself when a redirect leads to another host."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = url
        self.token = token

    def list(self, prefix: str = "") -> list[Entry]:
        with self._ask("HEAD", 0) as answer:
            return [Entry(self.name, int(answer.headers.get("Content-Length", 0)))]

    @property
    def name(self) -> str:
        return Path(urlsplit(self.url).path).name or "data"

    def get(self, path: str, into: Path) -> Path:
        target = into / self.name
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(target.name + ".partial")
        partial.unlink(missing_ok=True)
        for attempt in range(TRIES):
            try:
                self._bring(partial)
            except requests.RequestException as error:
                if attempt == TRIES - 1:
                    raise StorageFailed(f"{self.url}: {error}; gave up after {TRIES} tries.") from error
                time.sleep(0.5 * 2**attempt)
            else:
                partial.replace(target)
                return target
        raise AssertionError("the last try returns or raises")

    def _bring(self, partial: Path) -> None:
        """Appends what is missing. Raises requests' errors when the line breaks or the file is short."""
        have = partial.stat().st_size if partial.exists() else 0
        with self._ask("GET", have) as answer:
            resumed = answer.status_code == requests.codes.partial_content
            have = have if resumed else 0
            expected = have + int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
            with partial.open("ab" if resumed else "wb") as sink:
                for chunk in answer.iter_content(1 << 20):
                    sink.write(chunk)
        size = partial.stat().st_size
        if expected is not None and "Content-Encoding" not in answer.headers and size < expected:
            raise requests.ConnectionError(f"{size} of {expected} bytes came")

    def _ask(self, verb: str, start: int) -> requests.Response:
        headers = {"Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        answer = requests.request(verb, self.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
        if answer.status_code in (401, 403):
            raise AccessDenied(
                f"{self.url}: answered {answer.status_code}. Name a Secret with a token for it in spec.credentials."
            )
        if answer.status_code in (404, 410):
            raise DataNotFound(f"{self.url}: answered {answer.status_code}: there is nothing there.")
        answer.raise_for_status()
        return answer

    def exists(self, path: str) -> bool:
        try:
            self._ask("HEAD", 0).close()
        except DataNotFound:
            return False
        return True

    def local(self, path: str) -> Path | None:
        return None


def open_uri(uri: str, access: Access) -> Located:
    store = Https(uri, access.token(uri))
    return Located(store, store.name)
