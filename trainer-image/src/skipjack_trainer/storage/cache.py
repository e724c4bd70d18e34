"""Models fetched once: weights that the jobs of a namespace keep for one another, on a claim of theirs.

A file is called by the SHA-256 that its store tells of it, and hashed while it is copied to the pod's own volume: whatever was done to
the cache, a job trains on what the store says or fetches it. Whether a job may read a model, its store has said before: configuration
and tokenizer are always fetched. A file is written aside and moved, so that it is whole once it has its name, whoever else writes it;
none is trained on in its place, so that removing it disturbs nobody.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ..errors import StorageFailed
from .base import Access, Entry, Store, bring

FOLDER = ".skipjack-models"
"""Of a claim, which may hold other things."""
SHA256 = re.compile("[0-9a-f]{64}")
PART = ".part"
CHUNK_BYTES = 2**22
IN_USE_SECONDS = 3600
"""How long a file that was used stays in any case: somebody may be copying it still."""
ABANDONED_SECONDS = 3600
"""After which a file that nobody has written to was left behind by one that died."""


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder that other pods use at the same time. Its faults never fail a job: it fetches what it needs, and says why."""

    folder: Path
    max_bytes: int
    tell: Callable[[str], None]

    @classmethod
    def of(cls, access: Access, tell: Callable[[str], None]) -> Cache | None:
        return cls(access.models, access.models_bytes, tell) if access.models else None

    def take(self, digest: str, target: Path) -> bool:
        """Copies the file to `target`, if it is here and whole."""
        kept = self.folder / digest
        part = target.with_name(f".{target.name}{PART}")
        try:
            with suppress(OSError):  # one that can only be read is read all the same
                os.utime(kept)  # what was used last is removed last
            if copied(kept, part) == digest:
                part.replace(target)
                self.tell(f"model cache: {target.name} was kept")
                return True
            kept.unlink()
            self.tell(f"model cache: {target.name} was damaged; it is fetched")
        except FileNotFoundError:
            pass
        except OSError as error:
            self.tell(f"model cache: {target.name} can't be read ({error}); it is fetched")
        finally:
            part.unlink(missing_ok=True)
        return False

    def keep(self, digest: str, file: Path) -> None:
        """Copies a file that was fetched into the cache, if there is or can be room. Raises StorageFailed for one that is not what its
        store said."""
        part = self.folder / f"{digest}-{uuid4().hex}{PART}"
        try:
            self.folder.mkdir(exist_ok=True)
            if (self.folder / digest).exists():
                return
            if not self.make_room(file.stat().st_size):
                self.tell(f"model cache: there is no room for {file.name} in {self.max_bytes} bytes; it is not kept")
                return
            if copied(file, part) == digest:
                part.replace(self.folder / digest)
                return
        except OSError as error:
            self.tell(f"model cache: {file.name} is not kept: {error}")
            return
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        file.unlink()
        raise StorageFailed(f"{file.name}: what was fetched has not the SHA-256 {digest} that its store tells.")

    def make_room(self, size_bytes: int) -> bool:
        """Whether so much more fits, once what was used least recently is gone. Two that come at once may both fit in."""
        now, used, kept = time.time(), 0, []
        for file in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another job makes room too
                told = file.stat()
                if file.suffix == PART and now - told.st_mtime > ABANDONED_SECONDS:
                    file.unlink()
                    continue
                used += told.st_size
                if SHA256.fullmatch(file.name) and now - told.st_mtime > IN_USE_SECONDS:
                    kept.append((told.st_mtime, told.st_size, file))
        for _, its_bytes, file in sorted(kept):
            if used + size_bytes <= self.max_bytes:
                break
            file.unlink(missing_ok=True)
            used -= its_bytes
        return used + size_bytes <= self.max_bytes


def bring_kept(store: Store, entries: Sequence[Entry], into: Path, cache: Cache | None) -> list[Path]:
    """As `bring`; those whose store tells what they contain come from the cache, and are kept there."""
    if cache is None:
        return bring(store, entries, into)
    return bring(store, entries, into, lambda entry: _from_either(store, entry, into, cache))


def _from_either(store: Store, entry: Entry, into: Path, cache: Cache) -> Path:
    target = into / entry.path
    if entry.digest is None or not SHA256.fullmatch(entry.digest):
        return store.get(entry.path, into)
    target.parent.mkdir(parents=True, exist_ok=True)
    if cache.take(entry.digest, target):
        return target
    place = store.get(entry.path, into)
    cache.keep(entry.digest, place)
    return place


def copied(source: Path, target: Path) -> str:
    """The SHA-256 of what was copied."""
    told = hashlib.sha256()
    with source.open("rb") as content, target.open("wb") as sink:
        while chunk := content.read(CHUNK_BYTES):
            told.update(chunk)
            sink.write(chunk)
        sink.flush()
        os.fsync(sink.fileno())
    return told.hexdigest()
