"""The output folder: whose it is, and storing a result whole, its manifest last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from skipjack.api.v1alpha1.finetunejob import IfExists
from skipjack.protocol import Result
from skipjack.resolve import ResolvedSpec

from ..engine.checkpoint import digest
from ..errors import OutputExists
from ..storage import Access, Store, open_store

MARK = "skipjack.json"
"""Stored last: a folder without it holds no result."""

OWN_FOLDER = ".skipjack"


def checkpoints_of(path: str, job_uid: str) -> str:
    """Where a job whose output is at `path` has its checkpoints."""
    return f"{path}/{OWN_FOLDER}/{job_uid}/checkpoints"


@dataclass(frozen=True, slots=True)
class Output:
    """Where one job's result goes."""

    store: Store
    path: str
    spec: ResolvedSpec

    @property
    def checkpoints(self) -> str:
        return checkpoints_of(self.path, self.spec.job_uid)

    def finished(self) -> Result | None:
        """The result that this very job has stored already. Raises OutputExists when the folder holds anything else."""
        mark = f"{self.path}/{MARK}"
        if self.store.exists(mark):
            told = self._read(mark)
            if told.get("jobUid") == self.spec.job_uid:
                return Result.model_validate(told["result"])
        if self.spec.output.if_exists is IfExists.REPLACE:
            return None
        foreign = [entry.path for entry in self._files() if not self._is_ours(entry.path)]
        if self.store.exists(mark):
            owner = self._read(mark).get("job", "another job")
            raise OutputExists(
                f"{self.spec.output.uri} holds the result of {owner}: choose another output.uri, or say output.ifExists: Replace."
            )
        if foreign:
            raise OutputExists(
                f"{self.spec.output.uri} is not empty ({', '.join(foreign[:3])}): choose another output.uri, or say output.ifExists: Replace."
            )
        return None

    def store_result(self, folder: Path, result: Result, lineage: Sequence[str] = ()) -> Result:
        """Stores every file of `folder`, then the mark; the result with its address and digest."""
        mark = f"{self.path}/{MARK}"
        self._forget_the_one_before(mark)
        names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        for entry in self._files():
            name = entry.path.removeprefix(f"{self.path}/")
            if name not in names and not name.startswith(f"{OWN_FOLDER}/"):
                self.store.delete(entry.path)
        files = {name: {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)} for name in names}
        for name in names:
            self.store.put(folder / name, f"{self.path}/{name}")
        whole = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        told = result.model_copy(update={"output_uri": self.spec.output.uri, "output_digest": f"sha256:{whole}"})
        mark_file = folder / MARK
        mark_file.write_text(
            json.dumps(
                {
                    "job": f"{self.spec.namespace}/{self.spec.job_name}",
                    "jobUid": self.spec.job_uid,
                    "result": told.model_dump(),
                    "model": self.spec.model.uri,
                    "method": self.spec.method.model_dump(mode="json", exclude_none=True),
                    "lineage": list(lineage),
                    "files": files,
                }
            )
        )
        self.store.put(mark_file, mark)
        return told

    def _forget_the_one_before(self, mark: str) -> None:
        """The result that is replaced is none from here on; with it go the checkpoints that it kept."""
        if self.store.exists(mark):
            owner = self._read(mark).get("jobUid")
            self.store.delete(mark)
            if owner and owner != self.spec.job_uid and self.store.exists(f"{self.path}/{OWN_FOLDER}/{owner}"):
                self.store.delete(f"{self.path}/{OWN_FOLDER}/{owner}")

    def _files(self) -> list[Any]:
        return list(self.store.list(self.path)) if self.store.exists(self.path) else []

    def _is_ours(self, path: str) -> bool:
        """Checkpoints, and files that an earlier attempt of this job left half stored."""
        name = path.removeprefix(f"{self.path}/")
        return name.startswith(f"{OWN_FOLDER}/") or self.store.exists(f"{self.path}/{OWN_FOLDER}/{self.spec.job_uid}")

    def _read(self, path: str) -> dict[str, Any]:
        with TemporaryDirectory() as folder:
            place = self.store.local(path) or self.store.get(path, Path(folder))
            told: dict[str, Any] = json.loads(place.read_text())
        return told


def open_output(spec: ResolvedSpec, access: Access) -> Output:
    store, path = open_store(spec.output.uri, access)
    return Output(store, path.rstrip("/"), spec)
