"""The half of the hub's protocol that writes: repositories, branches, large files, commits. For the token that the hub's `.writer` holds."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.cluster.hub.repository import LFS, apply, at, branch, commit, create, create_branch, parsed

WRITER = ".writer"
BATCH = re.compile(r"^/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch$")
VERB = re.compile(r"^/api/(models|datasets)/([^/]+/[^/]+)/(preupload|commit|branch)/(.+)$")
UPLOAD = re.compile(r"^/lfs/([0-9a-f]{64})$")
LARGE_BYTES = 10_000_000
"""From here on, and for tensors of any size, files go up apart from their commit."""
BASE_MODEL = re.compile(r"^base_model: (?![\w.-]+/[\w.-]+$)", re.MULTILINE)
ONE_AT_A_TIME = threading.Lock()


class Writing(BaseHTTPRequestHandler):
    """What a handler of the hub's needs to be written to; it has `root`, `send_json` and `fail`."""

    root: Path

    def written_to(self, path: str) -> None:
        """Answers a request that writes."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if len(body) < int(self.headers.get("Content-Length", 0)):
            self.close_connection = True
        elif found := UPLOAD.match(path):
            # By a signed address: whoever has it needs no token.
            self.uploaded(found[1], body)
        elif "Authorization" not in self.headers:
            self.fail(401, "", "Invalid username or password.")
        elif not self.may_write():
            self.fail(403, "", "Forbidden: you need a token that may write.")
        elif path == "/api/repos/create":
            self.created(json.loads(body))
        elif path == "/api/validate-yaml":
            self.validated(json.loads(body)["content"])
        elif found := BATCH.match(path):
            self.promised(json.loads(body))
        elif found := VERB.match(path):
            kind, name, verb, revision = found.groups()
            self.told(self.root / kind / name, verb, revision, body)
        else:
            self.fail(404, "EntryNotFound", "no such page")

    def may_write(self) -> bool:
        lock = self.root / WRITER
        return lock.is_file() and self.headers.get("Authorization") == f"Bearer {lock.read_text().strip()}"

    def created(self, told: dict[str, Any]) -> None:
        kind = "datasets" if told.get("type") == "dataset" else "models"
        repo = self.root / kind / told["organization"] / told["name"]
        url = f"{self.here}/{told['organization']}/{told['name']}"
        if repo.is_dir():
            return self.send_json({"error": "You already created this model repo", "url": url}, 409)
        create(repo, (self.root / WRITER).read_text() if told.get("visibility") == "private" else "")
        return self.send_json({"url": url})

    def validated(self, content: str) -> None:
        """As the hub judges a card: a base model is one of its own."""
        errors = [{"message": '"base_model" is not valid. Use a model id.'}] if BASE_MODEL.search(content) else []
        self.send_json({"errors": errors, "warnings": []}, 400 if errors else 200)

    def promised(self, told: dict[str, Any]) -> None:
        """Where each file is to be uploaded that is not there yet."""
        objects = []
        for asked in told["objects"]:
            upload = {"actions": {"upload": {"href": f"{self.here}/lfs/{asked['oid']}"}}}
            objects.append(asked | ({} if (self.root / LFS / asked["oid"]).is_file() else upload))
        self.send_json({"transfer": "basic", "objects": objects})

    def uploaded(self, oid: str, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != oid:
            return self.fail(400, "", "these bytes have another digest")
        (self.root / LFS).mkdir(exist_ok=True)
        (self.root / LFS / oid).write_bytes(body)
        return self.send_json({})

    def told(self, repo: Path, verb: str, revision: str, body: bytes) -> None:
        if not repo.is_dir():
            return self.fail(404, "RepoNotFound", "Repository Not Found")
        if verb == "branch":
            if branch(repo, revision).is_dir():
                return self.send_json({"error": "Reference already exists"}, 409)
            create_branch(repo, revision)
            return self.send_json({})
        folder = at(repo, revision)
        if folder is None:
            return self.fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if verb == "preupload":
            return self.send_json({"files": [upload_mode(file) for file in json.loads(body)["files"]]})
        with ONE_AT_A_TIME:
            parent, operations = parsed(body)
            if parent not in (None, commit(folder)):
                return self.fail(412, "", "A commit has happened since. Please refresh and try again.")
            try:
                apply(self.root, folder, operations)
            except KeyError as missing:
                return self.fail(400, "", f"{missing} was not uploaded")
        name = commit(folder)
        url = f"{self.here}/{repo.parent.name}/{repo.name}/commit/{name}"
        return self.send_json({"success": True, "commitOid": name, "commitUrl": url})

    @property
    def here(self) -> str:
        return f"http://{self.headers['Host']}"

    def fail(self, status: int, code: str, message: str) -> None:
        raise NotImplementedError

    def send_json(self, value: object, status: int = 200) -> None:
        raise NotImplementedError


def upload_mode(file: dict[str, Any]) -> dict[str, Any]:
    is_large = file["size"] >= LARGE_BYTES or file["path"].endswith(".safetensors")
    return {"path": file["path"], "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False, "oid": None}
