"""Google's XML interface before fake-gcs-server, which reads and lists by it but takes uploads by JSON alone.

No server that can be had takes uploads by XML, which is how obstore sends them. So this turns each into what fake-gcs-server takes: an
object into an upload by a signed URL, the parts of one into objects that it composes.
"""

from __future__ import annotations

import http.client
import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from tests.support import serving

PARTS = ".parts"
XML = {"Content-Type": "application/xml"}


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer(*self.ask(self.command, self.path))

    do_HEAD = do_GET
    do_DELETE = do_GET

    def do_PUT(self) -> None:
        place, told = self.place, self.query
        if "uploadId" in told:
            place = part_of(place, told["uploadId"][0], told["partNumber"][0])
        status, headers, body = self.ask("PUT", f"{place}?X-Goog-Algorithm=none")
        self.answer(status, {"ETag": f'"{json.loads(body)["md5Hash"]}"'} if status == 200 else headers, b"")

    def do_POST(self) -> None:
        place, told = self.place, self.query
        if "uploads" in told:
            name = f"<InitiateMultipartUploadResult><UploadId>{uuid.uuid4().hex}</UploadId></InitiateMultipartUploadResult>"
            self.rfile.read(int(self.headers["Content-Length"]))
            return self.answer(200, XML, name.encode())
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        _, bucket, name = place.split("/", 2)
        parts = [part_of(f"/{bucket}/{name}", told["uploadId"][0], n).split("/", 2)[2] for n in re.findall(r"<PartNumber>(\d+)", asked)]  # fmt: skip
        composed = {"sourceObjects": [{"name": part} for part in parts], "destination": {}}
        status, _, body = self.ask(
            "POST", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}/compose", json.dumps(composed).encode()
        )
        for part in parts:
            self.ask("DELETE", f"/{bucket}/{part}")
        told_tag = json.loads(body).get("etag", "") if status == 200 else ""
        return self.answer(
            status,
            XML,
            f"<CompleteMultipartUploadResult><ETag>{told_tag}</ETag></CompleteMultipartUploadResult>".encode(),
        )

    @property
    def place(self) -> str:
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def ask(self, verb: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        """What fake-gcs-server answers."""
        if body is None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:
                raise ConnectionError("the client hung up")
        kept = {key: self.headers[key] for key in ("Range", "If-Match") if key in self.headers}
        asked = http.client.HTTPConnection("127.0.0.1", self.server.behind)  # type: ignore[attr-defined]
        asked.request(verb, path, body, kept)
        answer = asked.getresponse()
        got = answer.status, dict(answer.getheaders()), answer.read()
        asked.close()
        return got

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        sent = {key: value for key, value in headers.items() if key not in ("Connection", "Transfer-Encoding", "Date")}
        for key, value in ({"Content-Length": str(len(body))} | sent).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


def part_of(place: str, upload: str, number: str) -> str:
    """Where a part lies until the object is composed."""
    bucket = place.split("/")[1]
    return f"/{bucket}/{PARTS}%2F{upload}%2F{number}"


@contextmanager
def before(port: int, own_port: int) -> Iterator[None]:
    """Listens at `own_port` for the fake-gcs-server at `port`."""
    server = ThreadingHTTPServer(("127.0.0.1", own_port), Request)
    server.behind = port  # type: ignore[attr-defined]
    with serving.serving(server):
        yield
