"""server.py FOLDER ADDRESS PORT: serves FOLDER/{models,datasets}/ORG/NAME/FILES as a hub would.

A repository with a file `.private` is there only for who sends the token that the file holds; one with a file `.gated`
is seen by everyone, and its files are given only to that token. Standard library alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

API = re.compile(r"^/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|tree)/([^/]+))?(?:/.*)?$")
FILE = re.compile(r"^/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)$")
RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")


@cache
def sha256(file: Path, changed: float) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def commit(repo: Path) -> str:
    """A commit's name: forty digits over the names and sizes of the repository's files."""
    names = "\n".join(f"{name} {(repo / name).stat().st_size}" for name in contents(repo))
    return hashlib.sha1(names.encode()).hexdigest()


def contents(repo: Path) -> list[str]:
    return sorted(f.relative_to(repo).as_posix() for f in repo.rglob("*") if f.is_file() and not f.name.startswith("."))


class Hub(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    root: Path

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if path == "/health":
            self.send(200, b"ok")
        elif found := FILE.match(path):
            datasets, name, revision, file = found.groups()
            self.serve(
                "datasets" if datasets else "models", name, revision, lambda repo: self.granted(repo, name, file)
            )
        elif found := API.match(path):
            kind, name, verb, revision = found.groups()
            show = self.tree if verb == "tree" else lambda repo: self.info(repo, name)
            self.serve(kind, name, revision or "main", show)
        else:
            self.fail(404, "EntryNotFound", "no such page")

    def serve(self, kind, name, revision, show) -> None:  # type: ignore[no-untyped-def]
        repo = self.root / kind / name
        if ".." in name or not repo.is_dir() or not self.opens(repo / ".private"):
            self.fail(401, "RepoNotFound", "Repository Not Found")
        elif revision not in ("main", commit(repo)):
            self.fail(404, "RevisionNotFound", "Revision Not Found")
        else:
            show(repo)

    def opens(self, lock: Path) -> bool:
        """Whether there is no such lock, or the request's token is the one that it holds."""
        return not lock.exists() or self.headers.get("Authorization") == f"Bearer {lock.read_text().strip()}"

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
        if start > end or end >= size > 0:
            return self.send(416, b"", {"Content-Range": f"bytes */{size}"})
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{sha256(place, place.stat().st_mtime)}"')
        self.send_header("X-Repo-Commit", commit(repo))
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
        self.send(status, json.dumps({"error": message}).encode(), {"X-Error-Code": code, "X-Error-Message": message})

    def send_json(self, value: object) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def serve(root: Path, address: str, port: int) -> ThreadingHTTPServer:
    """A server on that address; port 0 takes a free one."""
    handler = type("HubOf", (Hub,), {"root": root})
    return ThreadingHTTPServer((address, port), handler)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])).serve_forever()
