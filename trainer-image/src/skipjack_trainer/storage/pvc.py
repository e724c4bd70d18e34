"""pvc://CLAIM/PATH: a PersistentVolumeClaim that the operator mounted."""

from __future__ import annotations

from ..errors import StorageFailed
from .base import Access, Located
from .folder import Folder


def open_uri(uri: str, access: Access) -> Located:
    claim, _, path = uri.removeprefix("pvc://").partition("/")
    root = access.claims / claim
    if not root.is_dir():
        raise StorageFailed(f"{uri}: claim {claim} is not mounted at {root}.")
    return Located(Folder(root, f"claim {claim}"), path)
