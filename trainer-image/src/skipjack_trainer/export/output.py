"""The output folder: whose it is, and storing a result whole, its manifest last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.finetunejob import IfExists
from skipjack.protocol import Result
from skipjack.resolve import ResolvedSpec

from ..engine.checkpoint import digest
from ..errors import OutputExists
from ..storage import Access, Store, open_store, peek, send

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
        told = self._read(mark)
        if told and told.get("jobUid") == self.spec.job_uid:
            return Result.model_validate(told["result"])
        if self.spec.output.if_exists is IfExists.REPLACE:
            return None
        if told is not None:
            owner = told.get("job", "another job")
            raise OutputExists(
                f"{self.spec.output.uri} holds the result of {owner}: choose another output.uri, or say output.ifExists: Replace."
            )
        if foreign := self._foreign():
            raise OutputExists(
                f"{self.spec.output.uri} is not empty ({', '.join(foreign[:3])}): choose another output.uri, or say output.ifExists: Replace."
            )
        return None

    def store_result(self, folder: Path, result: Result, lineage: Sequence[str] = ()) -> Result:
        """Stores every file of `folder`, then the mark; the result with its address and digest."""
        mark = f"{self.path}/{MARK}"
        self._forget_the_one_before(mark)
        names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
        for entry in self.store.list(self.path):
            name = entry.path.removeprefix(f"{self.path}/")
            if name not in names and not name.startswith(f"{OWN_FOLDER}/"):
                self.store.delete(entry.path)
        files = {name: {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)} for name in names}
        send(self.store, {f"{self.path}/{name}": folder / name for name in names})
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
        told = self._read(mark)
        if told is not None:
            owner = told.get("jobUid")
            self.store.delete(mark)
            if owner and owner != self.spec.job_uid:
                self.store.delete(f"{self.path}/{OWN_FOLDER}/{owner}")

    def _foreign(self) -> list[str]:
        """What lies there and is neither a checkpoint nor a file that an earlier attempt of this job left half stored."""
        there = [entry.path for entry in self.store.list(self.path)]
        own = f"{self.path}/{OWN_FOLDER}/"
        is_begun = any(path.startswith(f"{own}{self.spec.job_uid}/") for path in there)
        return [] if is_begun else [path for path in there if not path.startswith(own)]

    def _read(self, path: str) -> dict[str, Any] | None:
        content = peek(self.store, path)
        return None if content is None else json.loads(content)


def open_output(spec: ResolvedSpec, access: Access) -> Output:
    store, path = open_store(spec.output.uri, access)
    return Output(store, path.rstrip("/"), spec)
