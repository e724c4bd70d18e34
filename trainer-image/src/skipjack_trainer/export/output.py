"""The output folder: whose it is, and storing a result whole, its manifest last."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from skipjack.api.v1alpha1.finetunejob import IfExists
from skipjack.protocol import Result
from skipjack.resolve import ResolvedSpec

from ..digests import Files, digest_of_all, facts, files_in
from ..errors import OutputExists
from ..storage import Access, Located, Store, TakesWhole, open_store, peek, send
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
    kept: Located
    """The folder in which this job and others keep their checkpoints."""

    @property
    def checkpoints(self) -> Located:
        """Where this job's are."""
        return Located(self.kept.store, checkpoints_of(self.kept.path, self.spec.job_uid))

    @property
    def exports(self) -> Located:
        """Where it is noted what is still to be written of the stored result."""
        return Located(self.kept.store, f"{self.kept.path}/{OWN_FOLDER}/{self.spec.job_uid}/exports.json")

    def prepare(self) -> None:
        """Raises AccessDenied where a result can't be stored. Where that isn't told, the first checkpoint will tell it."""
        if isinstance(self.store, TakesWhole):
            self.store.prepare()

    def finished(self) -> Result | None:
        """The result that this very job has stored already. Raises OutputExists when the folder holds anything else."""
        told = self._mark()
        if told and told.get("jobUid") == self.spec.job_uid:
            return self._pinned(Result.model_validate(told["result"]))
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
        """Stores every file of `folder`, and the mark that they are whole; the result with its address and digest."""
        files = files_in(folder)
        told, text = self._marked(result, {name: facts(file) for name, file in files.items()}, lineage)
        mark = folder / MARK
        mark.write_text(text)
        if isinstance(self.store, TakesWhole):
            owner = f"{self.spec.namespace}/{self.spec.job_name}"
            self.store.replace(
                files | {MARK: mark}, {"dev.skipjack.job": owner, "dev.skipjack.job-uid": self.spec.job_uid}
            )
        else:
            self._store_in_turn(files, mark)
        return self._pinned(told)

    def add(self, folder: str, files: Mapping[str, Path]) -> None:
        """Stores further files into a folder of the result that is stored, in place of those that are in it."""
        into = self.at(folder)
        if isinstance(self.store, TakesWhole):
            self.store.add(into, {f"{into}/{name}": file for name, file in files.items()})
        else:
            self.store.delete(into)
            send(self.store, {f"{into}/{name}": file for name, file in files.items()})

    def complete(self, result: Result, files: Files, card: str) -> Result:
        """The stored result with further files, and with a card that tells of them; its address and digest anew."""
        mark = self._mark()
        assert mark is not None, "it is stored"
        with TemporaryDirectory() as scratch:
            own, told_file = Path(scratch) / CARD, Path(scratch) / MARK
            own.write_text(card)
            known = mark["files"] | files | {CARD: facts(own)}
            told, text = self._marked(result, known, mark["lineage"])
            told_file.write_text(text)
            if isinstance(self.store, TakesWhole):
                self.store.add(None, {self.at(CARD): own, self.at(MARK): told_file})
            else:
                self.store.put(own, self.at(CARD))
                self.store.put(told_file, self.at(MARK))
        return self._pinned(told)

    def _marked(self, result: Result, files: Files, lineage: Sequence[str]) -> tuple[Result, str]:
        """The result with its address and digest, and what the mark says of it."""
        told = result.model_copy(update={"output_uri": self.spec.output.uri, "output_digest": digest_of_all(files)})
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

    def _store_in_turn(self, files: Mapping[str, Path], mark: Path) -> None:
        """The result that is replaced is none from here on, with it go the checkpoints that it kept; the new one is none until its mark."""
        before = self._mark() or {}
        self.store.delete(self.at(MARK))
        if before.get("jobUid", self.spec.job_uid) != self.spec.job_uid:
            self.kept.store.delete(f"{self.kept.path}/{OWN_FOLDER}/{before['jobUid']}")
        for entry in self.store.list(self.path):
            name = entry.path.removeprefix(self.at(""))
            if name not in files and not name.startswith(f"{OWN_FOLDER}/"):
                self.store.delete(entry.path)
        send(self.store, {self.at(name): file for name, file in files.items()})
        self.store.put(mark, self.at(MARK))

    def _pinned(self, told: Result) -> Result:
        """With the address that names this result for ever, where the store has such."""
        return told.model_copy(update={"output_uri": self.store.pinned(self.spec.output.uri)})

    def _foreign(self) -> list[str]:
        """What lies there and is neither a checkpoint nor a file that an earlier attempt of this job left half stored."""
        there = [entry.path for entry in self.store.list(self.path)]
        own = self.at(f"{OWN_FOLDER}/")
        is_begun = any(path.startswith(f"{own}{self.spec.job_uid}/") for path in there)
        return [] if is_begun else [path for path in there if not path.startswith(own)]

    def at(self, name: str) -> str:
        """The path of a file of the result in its store."""
        return f"{self.path}/{name}".lstrip("/")

    def _mark(self) -> dict[str, Any] | None:
        content = peek(self.store, self.at(MARK))
        return None if content is None else json.loads(content)


def open_output(spec: ResolvedSpec, access: Access) -> Output:
    store, path = open_store(spec.output.uri, access)
    kept = open_store(spec.checkpoint.uri, access)
    return Output(store, path.rstrip("/"), spec, Located(kept.store, kept.path.rstrip("/")))
