"""hf://: the tests' own hub, all of whose repositories are private. It speaks LFS, not Xet, whose server is not to be had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cluster.hub.server import serve
from tests.cluster.hub.writing import WRITER
from tests.support.serving import serving
from tests.trainer.storage.front import front_of
from tests.trainer.storage.sites.base import Site, access

TOKEN = "hf_token_of_the_hub"


@contextmanager
def opened(root: Path) -> Iterator[Site]:
    models = root / "hub/models/org"

    models.mkdir(parents=True)
    (root / "hub" / WRITER).write_text(TOKEN)

    def seed(name: str, path: str, content: bytes) -> None:
        for place, written in ((models / name / path, content), (models / name / ".private", TOKEN.encode())):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(written)

    server = serve(root / "hub", "127.0.0.1", 0)
    with serving(server), front_of(server.server_port, "/resolve/") as front, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{front.port}")
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield Site(access(root, "hf://", token=TOKEN), "hf://org/NAME", seed, front)
