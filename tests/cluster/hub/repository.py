"""A repository of the tests' hub: a folder of files, with one more for each of its branches. Only what branches hold now is kept."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

MAIN = "main"
BRANCHES = ".branches"
ATTRIBUTES = ".gitattributes"
LFS = ".lfs"
"""Below the hub's root: what was uploaded, by its sha256, until a commit names it."""


@cache
def sha256(file: Path, changed: float) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def contents(folder: Path) -> list[str]:
    """Files of a branch. What begins with a dot is the hub's own."""
    files = (file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    shown = (path for path in files if str(path) == ATTRIBUTES or not any(part.startswith(".") for part in path.parts))
    return sorted(path.as_posix() for path in shown)


def commit(folder: Path) -> str:
    """A commit's name: forty digits over names, sizes and times of its files."""
    told = ((name, (folder / name).stat()) for name in contents(folder))
    return hashlib.sha1("\n".join(f"{name} {s.st_size} {s.st_mtime_ns}" for name, s in told).encode()).hexdigest()


def branch(repo: Path, name: str) -> Path:
    return repo if name == MAIN else repo / BRANCHES / name


def at(repo: Path, revision: str) -> Path | None:
    """The folder of a branch, by its name or by the commit that it stands for now."""
    for place in (repo, *sorted((repo / BRANCHES).glob("*"))):
        if revision in (MAIN if place == repo else place.name, commit(place)):
            return place
    return None


def create(repo: Path, lock: str) -> None:
    """A repository that is there for the token `lock` alone, for everybody where it is empty."""
    repo.mkdir(parents=True)
    (repo / ATTRIBUTES).write_text("*.safetensors filter=lfs diff=lfs merge=lfs -text\n")
    if lock:
        (repo / ".private").write_text(lock)


def create_branch(repo: Path, name: str) -> None:
    """From main."""
    for file in contents(repo):
        target = branch(repo, name) / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repo / file, target)


def apply(root: Path, folder: Path, operations: list[dict[str, Any]]) -> None:
    """Makes a commit: everything is at hand before anything is changed. Raises KeyError for a large file that was not uploaded whole."""
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        added = dict(_added(root, Path(scratch), operations))
        for kind, told in ((o["key"], o["value"]) for o in operations):
            if kind == "deletedFile":
                (folder / told["path"]).unlink(missing_ok=True)
            elif kind == "deletedFolder":
                shutil.rmtree(folder / told["path"])
        for path, staged in added.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            staged.replace(folder / path)


def _added(root: Path, scratch: Path, operations: list[dict[str, Any]]) -> Iterator[tuple[str, Path]]:
    for number, operation in enumerate(operations):
        told, staged = operation["value"], scratch / str(number)
        match operation["key"]:
            case "file":
                staged.write_bytes(base64.b64decode(told["content"]))
            case "lfsFile":
                uploaded = root / LFS / told["oid"]
                if not uploaded.is_file():
                    raise KeyError(told["oid"])
                shutil.copyfile(uploaded, staged)
            case _:
                continue
        yield told["path"], staged


def parsed(body: bytes) -> tuple[str | None, list[dict[str, Any]]]:
    """A commit as clients send it, a line of JSON for its message and one for each operation: (the commit it is to follow, operations)."""
    message, *operations = map(json.loads, body.splitlines())
    return message["value"].get("parentCommit"), operations
