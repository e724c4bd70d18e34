"""A front door for a real HTTP server: it passes requests on, notes them, and cuts, redirects and refuses when a test says so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.serving import serving

CHUNK_BYTES = 1 << 14
OF_A_CONNECTION = frozenset({"connection", "transfer-encoding", "keep-alive"})


@dataclass
class Asked:
    """A request that came, and how much of each body went through."""

    method: str
    path: str
    headers: dict[str, str]
    sent_bytes: int = 0
    taken_bytes: int = 0


@dataclass
class Faults:
    """What goes wrong from now on. A cut is of the bodies that are longer than so many bytes, as often as it says."""

    cut_after_bytes: int = 0
    downloads: int = 0
    uploads: int = 0
    closes: bool = False
    """After an upload that was cut everybody is refused."""
    is_closed: bool = False
    busy: int = 0
    """So many requests get 503, with a Retry-After."""
    elsewhere: str | None = None
    """Where requests for content are redirected to."""


@dataclass
class Front:
    """Stands before the server at `upstream` of 127.0.0.1. `content`: a pattern of the paths by which files' bytes are read."""

    upstream: int
    content: str
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)

    def calm(self) -> None:
        """Nothing goes wrong any more, and what was asked is forgotten."""
        self.asked.clear()
        self.faults = Faults()

    def is_content(self, asked: Asked) -> bool:
        return asked.method in ("GET", "HEAD") and re.search(self.content, asked.path) is not None

    @property
    def sent_bytes(self) -> int:
        """Of files, to whoever asked."""
        return sum(asked.sent_bytes for asked in self.asked if self.is_content(asked))

    @property
    def taken_bytes(self) -> int:
        return sum(asked.taken_bytes for asked in self.asked)


class Door(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    front: Front

    def pass_on(self) -> None:
        front, faults = self.front, self.front.faults
        asked = Asked(self.command, self.path, {name.title(): value for name, value in self.headers.items()})
        front.asked.append(asked)
        self.close_connection = True
        if faults.busy or faults.is_closed:
            for _ in self.body(int(self.headers.get("Content-Length", 0))):
                pass
            if faults.is_closed:
                return self.answer(403, {})
            faults.busy -= 1
            return self.answer(503, {"Retry-After": "0"})
        away = faults.elsewhere and front.is_content(asked)
        with closing(HTTPConnection("127.0.0.1", front.upstream, timeout=60)) as line:
            if self.hand_over(line, asked):
                with line.getresponse() as response:
                    if away and response.status == HTTPStatus.OK:
                        self.send_away(response)
                    else:
                        self.bring_back(response, asked)
        return None

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = pass_on

    def hand_over(self, line: HTTPConnection, asked: Asked) -> bool:
        """Whether the whole request went to the server."""
        faults, left = self.front.faults, int(self.headers.get("Content-Length", 0))
        cut = faults.uploads > 0 and left > faults.cut_after_bytes
        faults.uploads -= cut
        line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in OF_A_CONNECTION:
                line.putheader(name, value)
        line.endheaders()
        for chunk in self.body(left):
            line.send(chunk)
            asked.taken_bytes += len(chunk)
            if cut and asked.taken_bytes >= faults.cut_after_bytes:
                faults.is_closed = faults.closes
                return False
        return True

    def body(self, left: int) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            raise NotImplementedError("bodies of unknown length")
        while left > 0 and (chunk := self.rfile.read(min(left, CHUNK_BYTES))):
            left -= len(chunk)
            yield chunk

    def bring_back(self, response: HTTPResponse, asked: Asked) -> None:
        faults, length = self.front.faults, int(response.headers.get("Content-Length", 0))
        cut = faults.downloads > 0 and length > faults.cut_after_bytes and self.front.is_content(asked)
        faults.downloads -= cut
        kept = [(name, value) for name, value in response.getheaders() if name.lower() not in OF_A_CONNECTION]
        self.send_response_only(response.status, response.reason)
        for name, value in [*kept, ("Connection", "close")]:
            self.send_header(name, value)
        self.end_headers()
        while chunk := response.read(CHUNK_BYTES):
            self.wfile.write(chunk)
            asked.sent_bytes += len(chunk)
            if cut and asked.sent_bytes >= faults.cut_after_bytes:
                return

    def send_away(self, response: HTTPResponse) -> None:
        """To where the content lies, with what the server tells of it beside."""
        beside = {name: value for name, value in response.getheaders() if name.upper().startswith(("X-", "ETAG"))}
        self.answer(307, beside | {"Location": str(self.front.faults.elsewhere)})

    def answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in ({"Content-Length": "0", "Connection": "close"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


class Doors(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Whoever was cut off, or went away, is no news here."""


@contextmanager
def front_of(upstream: int, content: str) -> Iterator[Front]:
    front = Front(upstream, content)
    server = Doors(("127.0.0.1", 0), type("DoorOf", (Door,), {"front": front}))
    front.port = server.server_port
    with serving(server):
        yield front
