"""hf://ORG/NAME[@REVISION][/PATH] and hf://datasets/ORG/NAME…: the Hugging Face hub, or its mirror at HF_ENDPOINT."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from httpx2 import HTTPError
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..errors import AccessDenied, ConfigurationInvalid, DataNotFound, ModelNotFound, StorageFailed, TrainerError
from .base import Access, Entry, Located, is_at
from .patience import Passing, Patience, passes

T = TypeVar("T")

MAIN = "main"
OWN = ".gitattributes"
"""The hub's own file in each repository: neither shown nor taken away."""
COMMIT = re.compile("[0-9a-f]{40}")


class Hub:
    """One repository. What is read is of one commit: a branch's name is pinned when it is first read."""

    def __init__(self, kind: str, repo: str, revision: str, token: str | None) -> None:
        # Told each time: the library reads the variable once, when it is imported.
        self.api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token or False)
        self.kind, self.repo, self.revision = kind, repo, revision
        self.patience = Patience()
        self.title = f"hf://{'datasets/' if kind == 'dataset' else ''}{repo}"
        self.pin: str | None = None

    @property
    def commit(self) -> str:
        """Raises ModelNotFound, DataNotFound where there is no such repository or revision."""
        if self.pin is None:
            info = self._try(lambda: self.api.repo_info(self.repo, repo_type=self.kind, revision=self.revision))
            self.pin = info.sha or self.revision
        return self.pin

    def list(self, prefix: str = "") -> list[Entry]:
        commit = self.commit
        tree = self._try(
            lambda: list(self.api.list_repo_tree(self.repo, repo_type=self.kind, revision=commit, recursive=True))
        )
        return [
            Entry(item.path, item.size, item.lfs.sha256 if item.lfs else None)
            for item in tree
            if hasattr(item, "size") and item.path != OWN and is_at(item.path, prefix)
        ]

    def get(self, path: str, into: Path) -> Path:
        commit = self.commit
        place = self._try(
            lambda: self.api.hf_hub_download(self.repo, path, repo_type=self.kind, revision=commit, local_dir=into)
        )
        return Path(place)

    def exists(self, path: str) -> bool:
        return bool(self.list(path))

    def put(self, local: Path, path: str) -> None:
        self._commit([CommitOperationAdd(path, local)], f"Store {path}")

    def delete(self, path: str) -> None:
        if gone := self.list(path):
            self._commit([CommitOperationDelete(entry.path) for entry in gone], f"Remove {path}")

    def replace(self, files: Mapping[str, Path], about: Mapping[str, str]) -> None:
        """By one commit. The hub refuses it where its branch has moved since it was first read."""
        gone = [CommitOperationDelete(entry.path) for entry in self.list() if entry.path not in files]
        added = [CommitOperationAdd(name, file) for name, file in files.items()]
        told = "\n".join(f"{name}: {value}" for name, value in about.items())
        self._commit([*gone, *added], "Store a result", told)

    def add(self, folder: str | None, files: Mapping[str, Path]) -> None:
        """By one commit."""
        there = [entry.path for entry in self.list(folder)] if folder else []
        gone = [CommitOperationDelete(name) for name in there if name not in files]
        self._commit([*gone, *(CommitOperationAdd(name, file) for name, file in files.items())], "Add to a result")

    def prepare(self) -> None:
        """Creates repository and branch where they are missing, private. Raises AccessDenied where nothing may be stored."""
        if COMMIT.fullmatch(self.revision):
            raise ConfigurationInvalid(
                f"{self.title}@{self.revision}: a commit never changes: name a branch, or leave it out."
            )
        where = {"repo_id": self.repo, "repo_type": self.kind}
        self._try(lambda: self.api.create_repo(**where, private=True, exist_ok=True))
        self._try(lambda: self.api.auth_check(**where, write=True))
        if self.revision != MAIN:
            self._try(lambda: self.api.create_branch(**where, branch=self.revision, exist_ok=True))

    def local(self, path: str) -> Path | None:
        return None

    def pinned(self, uri: str) -> str:
        """By the commit that its branch stood for when it was first read."""
        return re.sub(rf"(//(?:datasets/)?{re.escape(self.repo)})(@[^/]*)?", rf"\1@{self.commit}", uri, count=1)

    def _commit(
        self, operations: Sequence[CommitOperationAdd | CommitOperationDelete], message: str, description: str = ""
    ) -> None:
        told = {"repo_type": self.kind, "revision": self.revision, "commit_description": description}
        told["parent_commit"] = self.commit
        self._try(lambda: self.api.create_commit(self.repo, operations, commit_message=message, **told))
        self.pin = None

    def _try(self, call: Callable[[], T]) -> T:
        return self.patience.ask(lambda: self._once(call))

    def _once(self, call: Callable[[], T]) -> T:
        missing: type[TrainerError] = ModelNotFound if self.kind == "model" else DataNotFound
        try:
            return call()
        except GatedRepoError as error:
            raise AccessDenied(
                f"{self.title} is gated: accept its licence on the hub, and name a Secret with your token in spec.credentials."
            ) from error
        except RepositoryNotFoundError as error:
            raise missing(
                f"{self.title} doesn't exist, or is private: check the name, or name a Secret with a token in spec.credentials."
            ) from error
        except RevisionNotFoundError as error:
            raise missing(f"{self.title} has no such revision: check what follows the '@'.") from error
        except LocalEntryNotFoundError as error:
            # A kind of EntryNotFoundError, and yet another thing: the hub could not be asked.
            raise Passing(f"{self.title}: the hub can't be reached: {error.__cause__ or error}") from error
        except EntryNotFoundError as error:
            raise missing(f"{self.title}@{(self.pin or '')[:12]}: no such file: {error}") from error
        except HfHubHTTPError as error:
            raise self._refusal(error) from error
        except (HTTPError, ConnectionError) as error:
            raise Passing(f"{self.title}: the hub can't be reached: {error}") from error
        except ValueError as error:
            # What the library itself refuses, and answers that it can't read.
            raise StorageFailed(f"{self.title}: {error}") from error

    def _refusal(self, error: HfHubHTTPError) -> TrainerError:
        status = error.response.status_code
        if passes(status):
            return Passing(f"{self.title}: the hub answered {status}", error.response.headers.get("Retry-After"))
        if status in (401, 403):
            return AccessDenied(
                f"{self.title}: the hub refused the token ({status}): check that the Secret in spec.credentials may do what is asked."
            )
        return StorageFailed(f"{self.title}: the hub answered {status}: {error}")


def open_uri(uri: str, access: Access) -> Located:
    rest = uri.removeprefix("hf://")
    kind = "dataset" if rest.startswith("datasets/") else "model"
    parts = rest.removeprefix("datasets/").split("/")
    if len(parts) < 2 or not all(parts[:2]):
        raise ModelNotFound(f"{uri}: name a repository as hf://ORG/NAME.")
    name, _, revision = parts[1].partition("@")
    return Located(Hub(kind, f"{parts[0]}/{name}", revision or MAIN, access.token(uri)), "/".join(parts[2:]))
