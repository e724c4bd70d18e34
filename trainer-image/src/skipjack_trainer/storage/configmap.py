"""configmap://NAME/KEY: small data, made from a file on a laptop. Mounted as optional, so that what is missing is told by name."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataNotFound
from .base import Access, Entry, Located, ReadOnly


class ConfigMap(ReadOnly):
    """The keys of one ConfigMap."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name

    def keys(self) -> list[str]:
        return sorted(p.name for p in self.root.iterdir() if not p.name.startswith("..")) if self.root.is_dir() else []

    def list(self, prefix: str = "") -> list[Entry]:
        return [Entry(key, (self.root / key).stat().st_size) for key in self.keys() if key.startswith(prefix)]

    def get(self, path: str, into: Path) -> Path:
        place = self.local(path)
        if place is None:
            known = f"it has {', '.join(self.keys())}" if self.keys() else "the ConfigMap is missing or empty"
            raise DataNotFound(
                f"configmap://{self.name}/{path}: there is no such key; {known}. Make it with: kubectl create configmap {self.name} --from-file={path}"
            )
        return place

    def exists(self, path: str) -> bool:
        return path in self.keys()

    def local(self, path: str) -> Path | None:
        return self.root / path if path in self.keys() else None


def open_uri(uri: str, access: Access) -> Located:
    name, _, key = uri.removeprefix("configmap://").partition("/")
    return Located(ConfigMap(access.configmaps / name, name), key)
