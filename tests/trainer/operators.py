"""Operators to post progress to: real servers that answer as they are told to."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.serving import serving

from skipjack.protocol import Sample

Reply = tuple[int, dict[str, str], bytes]
TAKEN: Reply = (200, {}, b"{}")


@dataclass
class Operator:
    """What it was sent, when, and with which token; `reply` says what it answers to a sample."""

    url: str = ""
    reply: Callable[[Sample], Reply] = lambda sample: TAKEN
    posts: list[tuple[Sample, str, float]] = field(default_factory=list)
    taken: list[Sample] = field(default_factory=list)

    def steps_taken(self) -> list[int]:
        return [sample.step for sample in self.taken]

    def waits_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (
                f"it was sent {[post[0].step for post in self.posts]}, took {self.steps_taken()}"
            )
            time.sleep(0.01)


@contextmanager
def operator(reply: Callable[[Sample], Reply] | None = None, port: int = 0) -> Iterator[Operator]:
    seen = Operator()
    if reply is not None:
        seen.reply = reply

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sample = Sample.model_validate(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            seen.posts.append((sample, self.headers["Authorization"], time.monotonic()))
            status, headers, body = seen.reply(sample)
            if 200 <= status < 300:
                seen.taken.append(sample)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    seen.url = f"http://127.0.0.1:{server.server_port}"
    with serving(server):
        yield seen
