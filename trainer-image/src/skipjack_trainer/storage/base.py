"""The interface of every storage scheme, and what a pod has to reach them with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, Protocol, runtime_checkable

from skipjack.protocol import CLAIMS_PATH, CONFIGMAPS_PATH, CREDENTIALS_PATH, SCRATCH_PATH

from ..errors import AccessDenied, ConfigurationInvalid, NoSpace

FILES_AT_ONCE = 8
"""Small files wait for their answers more than for their bytes."""


class Entry(NamedTuple):
    """A file in a store: its path from the store's root, and its size in bytes."""

    path: str
    size_bytes: int
    digest: str | None = None
    """SHA-256 of what it contains, in hex, where the store tells it."""


class Store(Protocol):
    """What every scheme can do. Paths are relative, with '/'. Those that can't be written to refuse `put` and `delete`."""

    def list(self, prefix: str = "") -> list[Entry]:
        """Every file below a folder, or the one of that name."""
        ...

    def get(self, path: str, into: Path) -> Path:
        """Brings one file into the folder `into`; the place it has there."""
        ...

    def put(self, local: Path, path: str) -> None:
        """Stores one file whole or not at all."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file of that name, or one below it."""
        ...

    def delete(self, path: str) -> None:
        """Removes a file, or everything below a prefix. What is not there is fine."""
        ...

    def local(self, path: str) -> Path | None:
        """The place of `path` where it is on this machine already, so that nothing need be copied."""
        ...

    def pinned(self, uri: str) -> str:
        """`uri`, by which this store was opened, as one that names its content for ever, where the scheme has such."""
        ...


@runtime_checkable
class TakesWhole(Protocol):
    """A store that takes a result in one act: afterwards there is all of it, or what was there before."""

    def prepare(self) -> None:
        """Makes room. Raises AccessDenied, before hours of work, where nothing may be stored."""
        ...

    def replace(self, files: Mapping[str, Path], about: Mapping[str, str]) -> None:
        """The files, each by its path, are what is there from now on; `about` is told with them. Raises StorageFailed where somebody else has
        stored anything since this store was first read."""
        ...

    def add(self, folder: str | None, files: Mapping[str, Path]) -> None:
        """The files, each by its path, are there from now on beside what was, but for all else of the folder. Raises StorageFailed as
        `replace` does."""
        ...


class Located(NamedTuple):
    store: Store
    path: str


class Secret(NamedTuple):
    """A mounted Secret: each of its keys is a file."""

    name: str
    folder: Path

    def get(self, key: str) -> str | None:
        place = self.folder / key
        return place.read_text().strip() if place.is_file() else None

    def need(self, key: str, uri: str) -> str:
        """Raises AccessDenied when there is no such key, or no such Secret."""
        value = self.get(key)
        if not value:
            raise AccessDenied(
                f"spec.credentials: Secret {self.name} is missing or has no key '{key}', which {uri} needs: create it."
            )
        return value


@dataclass(frozen=True, slots=True)
class Access:
    """What this pod has: mounts, scratch space, and the Secrets that open sources."""

    claims: Path = Path(CLAIMS_PATH)
    configmaps: Path = Path(CONFIGMAPS_PATH)
    credentials: Path = Path(CREDENTIALS_PATH)
    scratch: Path = Path(SCRATCH_PATH)
    secrets: dict[str, str] = field(default_factory=dict)
    """URI prefix → name of the Secret."""
    plain_registries: frozenset[str] = frozenset()
    """HOST:PORT of the registries that are spoken to without TLS."""
    models: Path | None = None
    """Where weights are kept for other jobs, and take at most `models_bytes`."""
    models_bytes: int = 0

    def secret(self, uri: str) -> Secret | None:
        """The Secret that opens `uri`: that of the longest prefix."""
        prefixes = [prefix for prefix in self.secrets if serves(prefix, uri)]
        if not prefixes:
            return None
        name = self.secrets[max(prefixes, key=len)]
        return Secret(name, self.credentials / name)

    def token(self, uri: str) -> str | None:
        """The token for `uri`. Raises AccessDenied when its Secret lacks one."""
        secret = self.secret(uri)
        return secret.need("token", uri) if secret else None


def serves(prefix: str, uri: str) -> bool:
    """Whether a credential for `prefix` is for `uri`. A host or bucket that is named is named whole: what is for https://example.com is
    not for https://example.com.evil.org."""
    _, _, place = prefix.partition("://")
    return f"{uri}/".startswith(f"{prefix}/" if place and "/" not in place else prefix)


def is_at(path: str, place: str) -> bool:
    """Whether a file is the one of that name, or lies below a folder of that name; all lie below ''."""
    folder = place.strip("/")
    return not folder or path == folder or path.startswith(f"{folder}/")


def place_in(folder: Path, path: str, title: str) -> Path:
    """Where a file of the store `title` goes that is fetched to a folder. Raises ConfigurationInvalid."""
    target = folder / path
    if not target.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationInvalid(f"{title}: {path!r} leads out of the folder it is fetched to.")
    return target


def brought(entry: Entry, into: Path) -> Path | None:
    """Where a file is in the folder `into`, if another process of this pod, or an earlier step, has put it there. A store puts it there whole."""
    file = into / entry.path
    return file if file.is_file() and file.stat().st_size == entry.size_bytes else None


def bring(store: Store, entries: Sequence[Entry], into: Path, get: Callable[[Entry], Path] | None = None) -> list[Path]:
    """The places of the files once they are in the folder `into`, each by `get` or from the store. Raises NoSpace before it begins when
    what is lacking won't fit."""
    into.mkdir(parents=True, exist_ok=True)
    needed = sum(entry.size_bytes for entry in entries if not brought(entry, into))
    free = shutil.disk_usage(into).free
    if needed > free:
        raise NoSpace(
            f"{needed / 2**20:,.0f} MiB are to be fetched, the pod's scratch volume has {free / 2**20:,.0f} MiB left: take a nodeType with more disk."
        )
    fetch = get or (lambda entry: store.get(entry.path, into))
    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        return list(threads.map(lambda entry: brought(entry, into) or fetch(entry), entries))


def send(store: Store, files: Mapping[str, Path]) -> None:
    """Stores the files, each by its path in the store."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as threads:
        list(threads.map(lambda path: store.put(files[path], path), files))


def peek(store: Store, path: str) -> bytes | None:
    """The content of a small file, None when there is none of that name."""
    if not store.exists(path):
        return None
    with TemporaryDirectory() as folder:
        return (store.local(path) or store.get(path, Path(folder))).read_bytes()


Opener = Callable[[str, Access], Located]


class ReadOnly:
    """Refuses what a source can't do."""

    def pinned(self, uri: str) -> str:
        return uri

    def put(self, local: Path, path: str) -> None:
        raise ConfigurationInvalid(f"{path}: this storage can only be read: name another output.uri.")

    def delete(self, path: str) -> None:
        raise ConfigurationInvalid(f"{path}: this storage can only be read.")
