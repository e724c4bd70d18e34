"""https://: a web site that gives its files to those alone who have a token. TLS is left to who serves: here there is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.trainer.storage.front import front_of
from tests.trainer.storage.pages import Request, page
from tests.trainer.storage.sites.base import Site, access

from skipjack_trainer.storage import Access, Located
from skipjack_trainer.storage.https import Https
from skipjack_trainer.storage.patience import Patience

TOKEN = "token-of-the-web"


def open_uri(uri: str, access: Access) -> Located:
    store = Https(uri.replace("https://", "http://"), access.token(uri), Patience(first_pause_seconds=0.01))
    return Located(store, store.name)


@contextmanager
def opened(root: Path) -> Iterator[Site]:
    files: dict[str, bytes] = {}

    def answer(request: Request) -> None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            request.reply(401)
        elif request.path in files:
            request.serve(files[request.path])
        else:
            request.reply(404)

    def seed(name: str, path: str, content: bytes) -> None:
        files[f"/{name}/{path}"] = content

    with page(answer) as served, front_of(served.port, ".") as front:
        own = access(root, "https://", token=TOKEN)
        yield Site(own, f"https://127.0.0.1:{front.port}/NAME", seed, front, open_uri, has_folders=False)
