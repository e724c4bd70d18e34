"""A file on its way from a server that knows ranges: gone on with where the line broke, never put together from two versions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import requests

from ..errors import NoSpace
from .patience import Passing, Patience

CHUNK_BYTES = 1 << 16
"""What is lost at most of what came when a line breaks."""


class RangeRefused(Passing):
    """The part that was asked for is none of the file any more: the next try begins anew."""


class Download:
    """One file; what came so far lies in `partial`. `ask` gives the answer to a GET with these headers beside its own."""

    def __init__(self, ask: Callable[[Mapping[str, str]], requests.Response], partial: Path, title: str) -> None:
        self.ask, self.partial, self.title = ask, partial, title
        self.version: str | None = None
        """The server's name for the content: what came of another version is not gone on from."""
        partial.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)

    def bring(self, patience: Patience) -> Path:
        """The whole file, at `partial`. Raises TrainerError."""
        patience.ask(self.go_on, self.have)
        return self.partial

    def have(self) -> int:
        """Bytes that came."""
        return self.partial.stat().st_size if self.partial.exists() else 0

    def begin(self) -> None:
        """What came so far counts no more."""

    def took(self, chunk: bytes) -> None:
        """These bytes came next."""

    def go_on(self) -> None:
        """Appends what is missing. Raises Passing when the line breaks or fewer bytes come than were told."""
        have = self.have() if self.version else 0
        headers = {"Range": f"bytes={have}-", "If-Range": self.version} if have and self.version else {}
        try:
            answer = self.ask(headers)
        except RangeRefused:
            self.version = None
            raise
        with answer:
            resumed = bool(have) and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            self.version = strong_version(answer)
            if not resumed:
                self.begin()
            try:
                with self.partial.open("ab" if resumed else "wb") as sink:
                    for chunk in answer.iter_content(CHUNK_BYTES):
                        sink.write(chunk)
                        self.took(chunk)
            except requests.RequestException as error:
                raise Passing(f"{self.title}: {error}") from error
            except OSError as error:
                raise NoSpace(f"{self.title} can't be written to the pod's scratch volume: {error.strerror}") from error


class HashedDownload(Download):
    """Hashes what comes, so that it needn't be read again."""

    def begin(self) -> None:
        self.hash = hashlib.sha256()

    def took(self, chunk: bytes) -> None:
        self.hash.update(chunk)


def strong_version(answer: requests.Response) -> str | None:
    """What If-Range may hold (RFC 9110, 13.1.5): an entity tag that is not weak, or the time of the last change."""
    tag = answer.headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else answer.headers.get("Last-Modified")
