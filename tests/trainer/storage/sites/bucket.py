"""s3://, az:// and gs://: object stores, as tests/support/buckets brings them up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.support import buckets
from tests.trainer.storage.front import front_of
from tests.trainer.storage.sites.base import Opened, Site

from skipjack_trainer.storage import open_store


@contextmanager
def _opened(scheme: str, root: Path) -> Iterator[Site]:
    with buckets.serving(scheme, root) as server, front_of(server.port, r"data/") as front:
        behind = server.access(root / "behind")

        def seed(name: str, path: str, content: bytes) -> None:
            # By the store itself, at the server's own door: what these servers keep of an object is more than a file.
            local = root / "seed"
            local.write_bytes(content)
            store, path = open_store(f"{scheme}://data/{name}/{path}", behind)
            store.put(local, path)

        yield Site(server.access(root, front.port), f"{scheme}://data/NAME", seed, front)


def opened(scheme: str) -> Opened:
    return partial(_opened, scheme)
