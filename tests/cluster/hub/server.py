"""python -m tests.cluster.hub.server FOLDER ADDRESS PORT: serves FOLDER/{models,datasets}/ORG/NAME/FILES as a hub would.

A repository with a file `.private` is there only for who sends the token that the file holds; one with a file `.gated`
is seen by everyone, and its files are given only to that token. FOLDER/.writer holds the token that may write, anywhere.
Standard library alone.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tests.cluster.hub.repository import at, commit, contents, sha256
from tests.cluster.hub.writing import Writing

API = re.compile(r"^/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?(?:/.*)?$")
FILE = re.compile(r"^/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
CHECK = re.compile(r"^/api/(models|datasets)/([^/]+/[^/]+)/auth-check(/write)?$")
RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")


class Hub(Writing):
    """One request."""

    protocol_version = "HTTP/1.1"
    root: Path

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.written_to(unquote(urlsplit(self.path).path))

    do_PUT = do_POST

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/health":
            self.send(200, b"ok")
        elif found := FILE.match(path):
            datasets, name, revision, file = found.groups()
            self.serve(
                "datasets" if datasets else "models", name, revision, lambda repo: self.granted(repo, name, file)
            )
        elif found := CHECK.match(path):
            kind, name, write = found.groups()
            self.serve(kind, name, "main", lambda repo: self.checked(repo, name, bool(write)))
        elif found := API.match(path):
            kind, name, verb, revision = found.groups()
            show = self.tree if verb == "tree" else lambda repo: self.info(repo, name)
            self.serve(kind, name, revision or "main", show)
        else:
            self.fail(404, "EntryNotFound", "no such page")

    def serve(self, kind: str, name: str, revision: str, show: Callable[[Path], None]) -> None:
        """`show` is given the folder of the files at that revision."""
        repo = self.root / kind / name
        if ".." in name or not repo.is_dir() or not self.opens(repo / ".private"):
            self.fail(401, "RepoNotFound", "Repository Not Found")
        elif (folder := at(repo, revision)) is None:
            self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        else:
            show(folder)

    def opens(self, lock: Path) -> bool:
        """Whether there is no such lock, or the request's token is the one that it holds, or the writer's."""
        token = self.headers.get("Authorization")
        return not lock.exists() or token == f"Bearer {lock.read_text().strip()}" or self.may_write()

    def checked(self, folder: Path, name: str, write: bool) -> None:
        """What a token may do with a repository."""
        if write and not self.may_write():
            self.fail(403, "", f"Forbidden: you have no write access to {name}.")
        else:
            self.send_json({})

    def granted(self, repo: Path, name: str, file: str) -> None:
        """The file, to those who may have it: the hub tells strangers to log in, and others to ask for access."""
        if self.opens(repo / ".gated"):
            self.file(repo, file)
        elif "Authorization" not in self.headers:
            self.fail(401, "GatedRepo", f"Access to {name} is restricted. You must be authenticated to access it.")
        else:
            self.fail(403, "GatedRepo", f"Access to {name} is restricted and you are not in the authorized list.")

    def info(self, repo: Path, name: str) -> None:
        files = [{"rfilename": file} for file in contents(repo)]
        self.send_json(
            {
                "_id": name,
                "id": name,
                "sha": commit(repo),
                "private": (repo / ".private").exists(),
                "gated": "manual" if (repo / ".gated").exists() else False,
                "siblings": files,
                "tags": [],
                "downloads": 0,
            }
        )

    def tree(self, repo: Path) -> None:
        entries = []
        for name in contents(repo):
            size = (repo / name).stat().st_size
            digest = sha256(repo / name, (repo / name).stat().st_mtime)
            is_large = name.endswith(".safetensors")
            entries.append(
                {
                    "type": "file",
                    "path": name,
                    "size": size,
                    "oid": digest[:40],
                }
                | ({"lfs": {"oid": digest, "size": size, "pointerSize": 134}} if is_large else {})
            )
        self.send_json(entries)

    def file(self, repo: Path, name: str) -> None:
        place = repo / name
        if name not in contents(repo):
            return self.fail(404, "EntryNotFound", f"{name} is not in the repository")
        size = place.stat().st_size
        asked = RANGE.match(self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        end = int(asked[2]) if asked and asked[2] else size - 1
        if asked and (start > end or end >= size > 0):
            return self.send(416, b"", {"Content-Range": f"bytes */{size}"})
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{sha256(place, place.stat().st_mtime)}"')
        self.send_header("X-Repo-Commit", commit(repo))
        self.send_header("X-Linked-Size", str(size))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("Content-Length", str(max(0, end - start + 1)))
        self.end_headers()
        if self.command == "GET":
            with place.open("rb") as source:
                source.seek(start)
                left = end - start + 1
                while left > 0 and (chunk := source.read(min(left, 1 << 20))):
                    self.wfile.write(chunk)
                    left -= len(chunk)
        return None

    def fail(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self.send(status, json.dumps({"error": message}).encode(), headers)

    def send_json(self, value: object, status: int = 200) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def serve(root: Path, address: str, port: int) -> ThreadingHTTPServer:
    """A server on that address; port 0 takes a free one."""
    handler = type("HubOf", (Hub,), {"root": root})
    return ThreadingHTTPServer((address, port), handler)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])).serve_forever()
