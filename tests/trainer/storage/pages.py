"""Web sites that serve one file, as well or as badly as a test needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.serving import serving


class Request(BaseHTTPRequestHandler):
    """One request; the page's `answer` deals with it."""

    def do_GET(self) -> None:
        self.server.page.asked.append(dict(self.headers))  # type: ignore[attr-defined]
        self.server.page.answer(self)  # type: ignore[attr-defined]

    do_HEAD = do_DELETE = do_POST = do_PATCH = do_PUT = do_GET

    def reply(self, status: int, body: bytes = b"", cut: int | None = None, **headers: str) -> None:
        """Of `body` only `cut` bytes are sent, though the header names its whole length."""
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body[:cut])

    def serve(self, body: bytes, cut: int | None = None, version: str | None = '"v1"') -> None:
        """The file, or the part of it that is asked for while it is the same version."""
        tagged = {"ETag": version} if version else {}
        asked = self.headers.get("Range")
        if asked and self.headers.get("If-Range") in (version, None):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.reply(206, body[start:], cut, Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}", **tagged)
        else:
            self.reply(200, body, cut, **tagged)

    def log_message(self, *_: Any) -> None:
        return


@dataclass
class Page:
    answer: Callable[[Request], None]
    asked: list[dict[str, str]] = field(default_factory=list)
    """The headers of each request."""
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/some/train.jsonl"


@contextmanager
def page(answer: Callable[[Request], None], address: str = "127.0.0.1") -> Iterator[Page]:
    server = ThreadingHTTPServer((address, 0), Request)
    server.page = served = Page(answer, port=server.server_port)  # type: ignore[attr-defined]
    with serving(server):
        yield served
