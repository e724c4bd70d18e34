"""configmap://: a folder where a pod has its ConfigMaps, a file a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.trainer.storage.sites.base import Site, access


@contextmanager
def opened(root: Path) -> Iterator[Site]:
    def seed(name: str, key: str, content: bytes) -> None:
        place = root / "configmaps" / name / key
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    yield Site(access(root), "configmap://NAME", seed, has_folders=False)
