"""https://…: one file, resumed where it was cut, and never taken for whole when it is not."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import requests

from ..errors import AccessDenied, DataNotFound, StorageFailed
from .base import Access, Entry, Located, ReadOnly
from .download import Download, RangeRefused
from .patience import TIMEOUT_SECONDS, Passing, Patience, passes

PATIENCE = Patience()


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
        download = Download(partial(self.ask, "GET"), target.with_name(target.name + ".partial"), self.url)
        return download.bring(self.patience).replace(target)

    def ask(self, verb: str, headers: Mapping[str, str] = MappingProxyType({})) -> requests.Response:
        """Raises Passing for what may pass, other TrainerErrors for what stays as it is."""
        asked = {"Accept-Encoding": "identity", **headers}
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


def open_uri(uri: str, access: Access) -> Located:
    store = Https(uri, access.token(uri))
    return Located(store, store.name)
