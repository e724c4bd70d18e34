"""What files contain, by SHA-256."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

Files = dict[str, dict[str, Any]]
"""Name → its bytes and sha256."""


def digest(file: Path) -> str:
    """In hex."""
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def facts(file: Path) -> dict[str, Any]:
    """As they stand in `Files`."""
    return {"bytes": file.stat().st_size, "sha256": digest(file)}


def digest_of_all(files: Files) -> str:
    """sha256:…, over names, sizes and digests."""
    return f"sha256:{hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()}"


def files_in(folder: Path) -> dict[str, Path]:
    """All files below it, by their paths from there, in order."""
    found = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return dict(sorted(found.items()))
