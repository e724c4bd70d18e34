"""hf://ORG/NAME[@REVISION][/PATH] and hf://datasets/ORG/NAME…: the Hugging Face hub, or its mirror at HF_ENDPOINT."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from httpx2 import HTTPError
from huggingface_hub import HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..errors import AccessDenied, DataNotFound, ModelNotFound, StorageFailed, TrainerError
from .base import Access, Entry, Located, ReadOnly

T = TypeVar("T")


class Hub(ReadOnly):
    """One repository at one commit: a branch's name is pinned when the store is opened."""

    def __init__(self, kind: str, repo: str, revision: str | None, token: str | None) -> None:
        # Told each time: the library reads the variable once, when it is imported.
        self.api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token or False)
        self.kind, self.repo, self.token = kind, repo, token
        info = self._try(lambda: self.api.repo_info(repo, repo_type=kind, revision=revision))
        self.commit: str = info.sha or revision or "main"

    def list(self, prefix: str = "") -> list[Entry]:
        tree = self._try(
            lambda: list(self.api.list_repo_tree(self.repo, repo_type=self.kind, revision=self.commit, recursive=True))
        )
        return [
            Entry(item.path, item.size, item.lfs.sha256 if item.lfs else None)
            for item in tree
            if hasattr(item, "size") and item.path.startswith(prefix)
        ]

    def get(self, path: str, into: Path) -> Path:
        place = self._try(
            lambda: self.api.hf_hub_download(self.repo, path, repo_type=self.kind, revision=self.commit, local_dir=into)
        )
        return Path(place)

    def exists(self, path: str) -> bool:
        return any(entry.path == path for entry in self.list(path))

    def local(self, path: str) -> Path | None:
        return None

    def pinned(self, uri: str) -> str:
        """By the commit that its branch stood for when the store was opened."""
        return re.sub(rf"(//(?:datasets/)?{re.escape(self.repo)})(@[^/]*)?", rf"\1@{self.commit}", uri, count=1)

    def _try(self, call: Callable[[], T]) -> T:
        missing: type[TrainerError] = ModelNotFound if self.kind == "model" else DataNotFound
        title = f"hf://{'datasets/' if self.kind == 'dataset' else ''}{self.repo}"
        try:
            return call()
        except GatedRepoError as error:
            raise AccessDenied(
                f"{title} is gated: accept its licence on the hub, and name a Secret with your token in spec.credentials."
            ) from error
        except RepositoryNotFoundError as error:
            raise missing(
                f"{title} doesn't exist, or is private: check the name, or name a Secret with a token in spec.credentials."
            ) from error
        except RevisionNotFoundError as error:
            raise missing(f"{title} has no such revision: check what follows the '@'.") from error
        except LocalEntryNotFoundError as error:
            # A kind of EntryNotFoundError, and yet another thing: the hub could not be asked.
            raise StorageFailed(f"{title}: the hub can't be reached: {error.__cause__ or error}") from error
        except EntryNotFoundError as error:
            raise missing(f"{title}@{getattr(self, 'commit', '')[:12]}: no such file: {error}") from error
        except HfHubHTTPError as error:
            status = error.response.status_code if error.response is not None else None
            if status in (401, 403):
                raise AccessDenied(
                    f"{title}: the hub refused the token ({status}): check the Secret in spec.credentials."
                ) from error
            raise StorageFailed(f"{title}: the hub answered {status}: {error}") from error
        except (HTTPError, OSError) as error:
            raise StorageFailed(f"{title}: the hub can't be reached: {error}") from error


def open_uri(uri: str, access: Access) -> Located:
    rest = uri.removeprefix("hf://")
    kind = "dataset" if rest.startswith("datasets/") else "model"
    parts = rest.removeprefix("datasets/").split("/")
    if len(parts) < 2 or not all(parts[:2]):
        raise ModelNotFound(f"{uri}: name a repository as hf://ORG/NAME.")
    name, _, revision = parts[1].partition("@")
    return Located(Hub(kind, f"{parts[0]}/{name}", revision or None, access.token(uri)), "/".join(parts[2:]))
