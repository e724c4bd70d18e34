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

from ..engine.checkpoint import Files, digest
from ..errors import OutputExists
from ..storage import Access, Store, open_store
from .card import CARD

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
        mark_file = folder / MARK
        told, text = self._mark(result, files, lineage)
        mark_file.write_text(text)
        self.store.put(mark_file, mark)
        return told

    def complete(self, result: Result, files: Files, card: str) -> Result:
        """The stored result with further files, and with a card that tells of them; its address and digest anew."""
        mark = self._read(f"{self.path}/{MARK}")
        with TemporaryDirectory() as scratch:
            own, told_file = Path(scratch) / CARD, Path(scratch) / MARK
            own.write_text(card)
            known = mark["files"] | files | {CARD: {"bytes": own.stat().st_size, "sha256": digest(own)}}
            told, text = self._mark(result, known, mark["lineage"])
            told_file.write_text(text)
            self.store.put(own, f"{self.path}/{CARD}")
            self.store.put(told_file, f"{self.path}/{MARK}")
        return told

    def _mark(self, result: Result, files: Files, lineage: Sequence[str]) -> tuple[Result, str]:
        """The result with its address and digest, and what the mark says of it."""
        whole = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
        told = result.model_copy(update={"output_uri": self.spec.output.uri, "output_digest": f"sha256:{whole}"})
        mark = {
            "job": f"{self.spec.namespace}/{self.spec.job_name}",
            "jobUid": self.spec.job_uid,
            "result": told.model_dump(),
            "model": self.spec.model.uri,
            "method": self.spec.method.model_dump(mode="json", exclude_none=True),
            "lineage": list(lineage),
            "files": files,
        }
        return told, json.dumps(mark)

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
        place = self.store.local(path)
        assert place is not None, "outputs are folders so far"
        told: dict[str, Any] = json.loads(place.read_text())
        return told


def open_output(spec: ResolvedSpec, access: Access) -> Output:
    store, path = open_store(spec.output.uri, access)
    return Output(store, path.rstrip("/"), spec)
