"""pvc://: a folder where a pod has its claims."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.trainer.storage.sites.base import Site, access


@contextmanager
def opened(root: Path) -> Iterator[Site]:
    claim = root / "claims/data"
    claim.mkdir(parents=True)

    def seed(name: str, path: str, content: bytes) -> None:
        place = claim / name / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)

    yield Site(access(root), "pvc://data/NAME", seed)
