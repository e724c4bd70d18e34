"""Google's XML interface before fake-gcs-server, which reads and lists by it but takes uploads by JSON alone.

No server that can be had takes uploads by XML, which is how obstore sends them. So this turns each into what fake-gcs-server takes: an
object into an upload by a signed URL, the parts of one into objects that it composes.
"""

from __future__ import annotations

import http.client
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support import serving

XML = {"Content-Type": "application/xml"}


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer(*self.ask(self.command, self.path))

    do_HEAD = do_GET

    def do_DELETE(self) -> None:
        if "uploadId" in self.query:
            self.server.uploads.pop(self.query["uploadId"][0])  # type: ignore[attr-defined]
            self.answer(204, {}, b"")
        else:
            self.do_GET()

    def do_PUT(self) -> None:
        if "uploadId" in self.query:
            body, number = self.body(), int(self.query["partNumber"][0])
            self.parts[number] = body
            self.answer(200, {"ETag": f'"{len(body)}-{number}"'}, b"")
        else:
            self.store(self.body())

    def do_POST(self) -> None:
        self.body()
        if "uploads" in self.query:
            upload = uuid.uuid4().hex
            self.server.uploads[upload] = {}  # type: ignore[attr-defined]
            told = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            self.answer(200, XML, told.encode())
        else:
            self.store(b"".join(content for _, content in sorted(self.parts.items())))

    def store(self, content: bytes) -> None:
        """Answers for an object, whether it came whole or in parts."""
        status, headers, told = self.ask("PUT", f"{urlsplit(self.path).path}?X-Goog-Algorithm=none", content)
        if status == 200:
            tag = f'"{json.loads(told)["md5Hash"]}"'
            headers = XML | {"ETag": tag}
            told = f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>".encode()
        self.answer(status, headers, told)

    @property
    def parts(self) -> dict[int, bytes]:
        """What came of the upload that is asked about, by number."""
        parts: dict[int, bytes] = self.server.uploads[self.query["uploadId"][0]]  # type: ignore[attr-defined]
        return parts

    def body(self) -> bytes:
        """All of it, or none."""
        size = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(size)
        if len(content) < size:
            raise ConnectionResetError("cut")
        return content

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query, keep_blank_values=True)

    def ask(self, verb: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
        """What fake-gcs-server answers."""
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


@contextmanager
def before(port: int, own_port: int) -> Iterator[None]:
    """Listens at `own_port` for the fake-gcs-server at `port`."""
    server = ThreadingHTTPServer(("127.0.0.1", own_port), Request)
    server.behind, server.uploads = port, {}  # type: ignore[attr-defined]
    server.handle_error = lambda request, address: None  # type: ignore[method-assign]
    with serving.serving(server):
        yield
