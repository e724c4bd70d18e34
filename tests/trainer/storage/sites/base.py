"""What the contract of storage needs to know of a scheme: where there is room, how files come there by other means, and who is asked."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.trainer.storage.front import Front

from skipjack_trainer.storage import Access, Located, open_store


@dataclass(frozen=True)
class Site:
    """Where one scheme's URIs lead in these tests."""

    access: Access
    place: str
    """URI of a place, with NAME where its name stands: each trial takes one that holds nothing yet."""
    seed: Callable[[str, str, bytes], None]
    """Puts a file there by other means than the store's: (name of the place, path in it, content)."""
    front: Front | None = None
    """The door through which a server is asked; None where there is none."""
    open_uri: Callable[[str, Access], Located] = open_store
    has_folders: bool = True

    def uri(self, name: str, path: str = "") -> str:
        return f"{self.place.replace('NAME', name)}/{path}".rstrip("/")

    def open(self, name: str, path: str = "") -> Located:
        return self.open_uri(self.uri(name, path), self.access)


Opened = Callable[[Path], AbstractContextManager[Site]]
"""Brings a site up, all of whose files are below a folder, and takes it down again."""


def access(root: Path, prefix: str = "", **keys: str) -> Access:
    """A pod's; URIs that begin with `prefix` have a Secret with these keys."""
    secret = root / "credentials/own"
    secret.mkdir(parents=True, exist_ok=True)
    for key, value in keys.items():
        (secret / key).write_text(value)
    folders = root / "claims", root / "configmaps", root / "credentials", root / "scratch"
    return Access(*folders, {prefix: "own"} if prefix else {})
