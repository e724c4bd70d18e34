"""A folder as a store: what claims and ConfigMaps are once they are mounted."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from ..errors import AccessDenied, ConfigurationInvalid, DataNotFound, NoSpace, StorageFailed, TrainerError
from .base import Entry


class Folder:
    """Files below `root`. No path leads out of it, not by '..' and not by a link."""

    def __init__(self, root: Path, title: str) -> None:
        self.root = root
        self.title = title

    def place(self, path: str) -> Path:
        place = self.root / path
        if not place.resolve().is_relative_to(self.root.resolve()):
            raise ConfigurationInvalid(f"{self.title}: {path!r} leads out of it: name a path inside.")
        return place

    def list(self, prefix: str = "") -> list[Entry]:
        base = self.place(prefix)
        files = [base] if base.is_file() else sorted(p for p in base.rglob("*") if p.is_file())
        return [Entry(p.relative_to(self.root).as_posix(), p.stat().st_size) for p in files]

    def get(self, path: str, into: Path) -> Path:
        source = self.place(path)
        if not source.is_file():
            raise DataNotFound(f"{self.title}: there is no file {path!r}.")
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return target

    def put(self, local: Path, path: str) -> None:
        target = self.place(path)
        partial = target.with_name(f".{target.name}.partial")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with local.open("rb") as source, partial.open("wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)
                sink.flush()
                os.fsync(sink.fileno())
            partial.replace(target)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise self._refusal(error, path, local.stat().st_size) from error

    def _refusal(self, error: OSError, path: str, size_bytes: int) -> TrainerError:
        """What a write that failed means to whoever owns the claim."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return NoSpace(f"{self.title} is full: {path} needs {size_bytes} bytes. Make room or take a larger claim.")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return AccessDenied(
                f"{self.title} can't be written to by user {os.getuid()} ({path}: {error.strerror}): make it writable, or name another claim."
            )
        return StorageFailed(f"{self.title}: {path} can't be written: {error}")

    def exists(self, path: str) -> bool:
        return self.place(path).exists()

    def delete(self, path: str) -> None:
        place = self.place(path)
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=False)
        else:
            place.unlink(missing_ok=True)

    def pinned(self, uri: str) -> str:
        return uri

    def local(self, path: str) -> Path | None:
        place = self.place(path)
        return place if place.exists() else None
