"""What s3://, az:// and gs:// have in common: objects below a bucket, by obstore, which speaks the protocols of all three.

Large objects come in parts, several at once, straight to their place in a file, each part asked for by the version that the first one
had. A part whose connection breaks is gone on with where it was: that, and the waiting between tries, obstore does itself, and for the
parts of an upload too. What is stored appears whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any, NamedTuple

import obstore
from obstore.exceptions import BaseError

from ..errors import AccessDenied, StorageFailed
from .base import Entry, Secret, place_in
from .refusals import explained, status_of

PART_BYTES = 8 * 2**20
PARTS_AT_ONCE = 8
"""With PART_BYTES the memory that an upload takes, whatever the file's size."""
FIRST_BYTES = 2**20
"""A file that isn't larger comes with one request; the others only wait for so much before their parts come several at once."""
CHUNK_BYTES = 2**18
"""So much of a part that comes is held in memory."""
PARTS_MAX = 9_000
"""S3 takes 10,000 parts of one upload at most."""
NOTHING_THERE = 416
"""The answer to a range that begins at the first byte, when there is none."""
CA = "ca.crt"
"""The key of a Secret that holds a certificate authority."""
TRIES = 5
"""How often a file is begun anew because its object was replaced meanwhile."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store that doesn't answer, or answers that it is busy, is waited for."""

    retries: int = 10
    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 15
    silence_seconds: float = 120
    """Also the time that a part of an upload may take, with PARTS_AT_ONCE on the line: 4.5 Mbit/s."""

    @property
    def retry(self) -> dict[str, Any]:
        """obstore's `retry_config`."""
        pauses = {
            "init_backoff": timedelta(seconds=self.first_pause_seconds),
            "max_backoff": timedelta(seconds=self.longest_pause_seconds),
        }
        return {"max_retries": self.retries, "backoff": pauses, "retry_timeout": timedelta(minutes=4)}


PATIENCE = Patience()


def nobody() -> tuple[dict[str, Any], str]:
    """obstore's settings, and what messages say, where nothing proves who we are."""
    return {"skip_signature": True}, "a reader without credentials"


def place_of(uri: str) -> tuple[str, str]:
    """The bucket and the path that a URI names."""
    bucket, _, path = uri.partition("://")[2].partition("/")
    return bucket, path.strip("/")


def client_options(endpoint: str | None, secret: Secret | None, patience: Patience) -> dict[str, Any]:
    """obstore's `client_options`. Plain http goes only to an endpoint that is named so; a CA of one's own is the Secret's ca.crt."""
    options: dict[str, Any] = {
        "connect_timeout": "10s",
        "read_timeout": timedelta(seconds=patience.silence_seconds),
        # Of a request in all: a slow line may take its time as long as something comes.
        "timeout": "1h",
        "allow_http": bool(endpoint and endpoint.startswith("http://")),
    }
    authority = secret.get(CA) if secret else None
    return options | ({"root_certificate": authority} if authority else {})


def connected(
    kind: Any, name: str, settings: dict[str, Any], endpoint: str | None, secret: Secret | None, patience: Patience
) -> Any:
    """obstore's client for a bucket; nothing is asked of the store yet. Raises AccessDenied for what can't be a credential."""
    options = client_options(endpoint, secret, patience)
    try:
        return kind(name, config=settings, client_options=options, retry_config=patience.retry)
    except BaseError as error:
        words = str(error).partition("\n")[0]
        holder = f"Secret {secret.name}" if secret else "the pod's environment"
        raise AccessDenied(f"spec.credentials: {holder} holds what opens no store ({words}): check its keys.") from None


def written(place: int, content: bytes, at: int) -> int:
    """Writes all of `content` to byte `at` of the open file `place`; its length."""
    left = memoryview(content)
    while left:
        count = os.pwrite(place, left, at)
        at, left = at + count, left[count:]
    return len(content)


class Bucket(NamedTuple):
    """A bucket, and how messages call it and what opens it."""

    client: Any
    uri: str
    """s3://BUCKET"""
    endpoint: str
    opened_by: str
    """Secret NAME, or what else proves who we are."""
    secrets: tuple[str, ...] = ()
    """What no message may hold."""


class Changed(Exception):
    """The object was replaced while it was being read."""


class Objects:
    """The objects of one bucket or container."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.client = bucket.client
        self.lines = ThreadPoolExecutor(PARTS_AT_ONCE, "parts")
        self.one_in_parts = Lock()

    def list(self, prefix: str = "") -> list[Entry]:
        """Every object below the folder `prefix`, or the one of that name."""
        folder = prefix.strip("/")
        with self._explaining(prefix):
            found = list(self._below(folder))
            if not found and folder:
                with suppress(FileNotFoundError):
                    found = [obstore.head(self.client, folder)]
        folders = {str(parent) for told in found for parent in PurePosixPath(told["path"]).parents}
        return sorted(
            Entry(told["path"], told["size"]) for told in found if told["size"] or told["path"] not in folders
        )

    def _below(self, folder: str) -> Iterator[Any]:
        """What obstore tells of each object, but not of an empty one that stands for the folder itself, as consoles make them."""
        for page in obstore.list(self.client, folder or None):
            yield from (told for told in page if told["path"] != folder)

    def get(self, path: str, into: Path) -> Path:
        target = place_in(into, path, self.bucket.uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        for _ in range(TRIES):
            try:
                with self._explaining(path), partial.open("wb") as sink:
                    self._fill(path, sink.fileno())
            except Changed:
                continue
            except BaseException:
                partial.unlink()
                raise
            partial.replace(target)
            return target
        partial.unlink()
        raise StorageFailed(f"{self.bucket.uri}/{path} is replaced again and again while it is read: try again later.")

    def _fill(self, path: str, place: int) -> None:
        """Writes the object's bytes to the open file `place`. Raises Changed, obstore's errors, OSError."""
        whole = self.lines.submit(self._part, path, place, 0, FIRST_BYTES, None).result()
        size = whole["size"] if whole else 0
        starts = range(FIRST_BYTES, size, PART_BYTES)
        parts = [self.lines.submit(self._part, path, place, at, at + PART_BYTES, whole) for at in starts]
        done, waiting = wait(parts, return_when=FIRST_EXCEPTION)
        for part in waiting:
            part.cancel()
        # Until none of them writes to the file any more.
        wait(waiting)
        for part in done:
            part.result()

    def _part(self, path: str, place: int, at: int, end: int, whole: Any) -> Any:
        """Brings bytes `at` to `end`, or to the object's end; what the store says of the object, None where it is empty."""
        options = {"range": (at, end)} | ({"if_match": whole["e_tag"]} if whole else {})
        try:
            answer = obstore.get(self.client, path, options=options)
            if whole and answer.meta != whole:
                # Of a server that doesn't heed If-Match.
                raise Changed
            for chunk in answer.stream(min_chunk_size=CHUNK_BYTES):
                at += written(place, chunk, at)
        except obstore.exceptions.PreconditionError as error:
            raise Changed from error
        except BaseError as error:
            if at == 0 and status_of(error) == NOTHING_THERE:
                return None
            raise
        if at != min(end, answer.meta["size"]):
            raise Changed
        return answer.meta

    def put(self, local: Path, path: str) -> None:
        size = local.stat().st_size
        part = max(PART_BYTES, size // PARTS_MAX + 1)
        # Each takes all the parts that memory has room for.
        with self._explaining(path), self.one_in_parts if size > part else nullcontext():
            obstore.put(self.client, path, local, chunk_size=part, max_concurrency=PARTS_AT_ONCE)

    def exists(self, path: str) -> bool:
        """Whether there is an object of that name, or one below it."""
        with self._explaining(path):
            with suppress(FileNotFoundError):
                obstore.head(self.client, path.strip("/"))
                return True
            return any(True for _ in self._below(path.strip("/")))

    def delete(self, path: str) -> None:
        found = [entry.path for entry in self.list(path)]
        with self._explaining(path), suppress(FileNotFoundError):
            obstore.delete(self.client, found)

    def local(self, path: str) -> Path | None:
        return None

    def pinned(self, uri: str) -> str:
        return uri

    @contextmanager
    def _explaining(self, path: str) -> Iterator[None]:
        """Says what the store said in our words."""
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            # Not from `error`: it may hold what proves who we are.
            raise explained(error, self.bucket, path) from None
