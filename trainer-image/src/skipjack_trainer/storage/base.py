"""The interface of every storage scheme, and what a pod has to reach them with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from skipjack.protocol import CLAIMS_PATH, CONFIGMAPS_PATH, CREDENTIALS_PATH, SCRATCH_PATH

from ..errors import AccessDenied, ConfigurationInvalid, NoSpace


class Entry(NamedTuple):
    """A file in a store: its path from the store's root, and its size in bytes."""

    path: str
    size_bytes: int
    digest: str | None = None
    """SHA-256 of what it contains, in hex, where the store tells it."""


class Store(Protocol):
    """What every scheme can do. Paths are relative, with '/'. Those that can't be written to refuse `put` and `delete`."""

    def list(self, prefix: str = "") -> list[Entry]: ...

    def get(self, path: str, into: Path) -> Path:
        """Brings one file into the folder `into`; the place it has there."""
        ...

    def put(self, local: Path, path: str) -> None:
        """Stores one file whole or not at all."""
        ...

    def exists(self, path: str) -> bool: ...

    def delete(self, path: str) -> None:
        """Removes a file, or everything below a prefix. What is not there is fine."""
        ...

    def local(self, path: str) -> Path | None:
        """The place of `path` where it is on this machine already, so that nothing need be copied."""
        ...

    def pinned(self, uri: str) -> str:
        """`uri`, by which this store was opened, as one that names its content for ever, where the scheme has such."""
        ...


class Located(NamedTuple):
    store: Store
    path: str


@dataclass(frozen=True, slots=True)
class Access:
    """What this pod has: mounts, scratch space, and the Secrets that open sources."""

    claims: Path = Path(CLAIMS_PATH)
    configmaps: Path = Path(CONFIGMAPS_PATH)
    credentials: Path = Path(CREDENTIALS_PATH)
    scratch: Path = Path(SCRATCH_PATH)
    secrets: dict[str, str] = field(default_factory=dict)
    """URI prefix → name of the Secret."""
    models: Path | None = None
    """Where weights are kept for other jobs, and take at most `models_bytes`."""
    models_bytes: int = 0

    def token(self, uri: str) -> str | None:
        """The token for `uri`: that of the longest prefix. Raises AccessDenied when its Secret lacks one."""
        prefixes = [prefix for prefix in self.secrets if uri.startswith(prefix)]
        if not prefixes:
            return None
        secret = self.secrets[max(prefixes, key=len)]
        place = self.credentials / secret / "token"
        if not place.is_file():
            raise AccessDenied(
                f"spec.credentials: Secret {secret} is missing or has no key 'token', which {uri} needs: create it."
            )
        return place.read_text().strip()


def bring(store: Store, entries: Sequence[Entry], into: Path) -> list[Path]:
    """The places of the files once they are in the folder `into`. Raises NoSpace before it begins when they won't fit."""
    refuse_too_large(entries, into)
    return [store.get(entry.path, into) for entry in entries]


def refuse_too_large(entries: Sequence[Entry], into: Path) -> None:
    """Makes the folder. Raises NoSpace when what it lacks of the files won't fit."""
    into.mkdir(parents=True, exist_ok=True)
    needed = sum(entry.size_bytes for entry in entries if not (into / entry.path).is_file())
    free = shutil.disk_usage(into).free
    if needed > free:
        raise NoSpace(
            f"{needed / 2**20:,.0f} MiB are to be fetched, the pod's scratch volume has {free / 2**20:,.0f} MiB left: take a nodeType with more disk."
        )


Opener = Callable[[str, Access], Located]


class ReadOnly:
    """Refuses what a source can't do."""

    def pinned(self, uri: str) -> str:
        return uri

    def put(self, local: Path, path: str) -> None:
        raise ConfigurationInvalid(f"{path}: this storage can only be read; name a pvc:// output.")

    def delete(self, path: str) -> None:
        raise ConfigurationInvalid(f"{path}: this storage can only be read.")
