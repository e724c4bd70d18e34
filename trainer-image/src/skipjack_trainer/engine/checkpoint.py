"""Checkpoints: complete only with their manifest, which is written last; fenced, so that a straggler can't write over its successor.

They hold whole tensors by the names of their parameters, never by ranks, so that a run goes on with any strategy on any number
of processes: 12 bytes a trained parameter (weight and two moments in fp32). Each rank writes every world-th parameter, a part at a
time, which goes from its scratch volume as soon as it is stored.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from ..digests import Files, digest, facts
from ..errors import Interrupted
from ..in_turn import in_turn
from ..storage import Store, bring, peek
from .best import Best
from .parts import parts, take
from .peers import Peers
from .scale import LossScale
from .strategies import Strategy

MANIFEST = "manifest.json"
FENCE = "fence.json"
STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Before:
    """What was known before the first step: a resumed run can't measure it again."""

    metrics: dict[str, float] = field(default_factory=dict)
    answers: list[str] = field(default_factory=list)
    """One a prompt of the spec."""
    data: str = ""
    """Fingerprint of the training examples."""


@dataclass(frozen=True, slots=True)
class State:
    """What a run goes on from."""

    step: int
    curve: list[dict[str, float]]
    """One entry a step: step, loss, learningRate, gradNorm …"""
    before: Before
    scale: LossScale = field(default_factory=LossScale)
    best: Best | None = None

    @classmethod
    def read(cls, file: Path) -> State:
        told = json.loads(file.read_text())
        best = Best(**told["best"]) if told.get("best") else None
        return cls(told["step"], told["curve"], Before(**told["before"]), LossScale(**told["scale"]), best)


class Checkpoints:
    """The checkpoints of one job, below `prefix` of its output's store."""

    def __init__(
        self, store: Store, prefix: str, attempt: int, keep: int, scratch: Path, say: Callable[[str], None] = print
    ) -> None:
        self.store, self.prefix, self.attempt, self.keep, self.scratch = store, prefix, attempt, keep, scratch
        self.say = say

    def raise_fence(self) -> None:
        """From now on no earlier attempt may write; what one left half written goes. Raises Interrupted when a later one is there."""
        self.check_fence()
        self._put_json({"attempt": self.attempt}, f"{self.prefix}/{FENCE}")
        begun = {entry.path.rpartition("/")[0] for entry in self.store.list(self.prefix)} - {self.prefix}
        for place in begun.difference(self.complete()):
            if attempt_of(place) < self.attempt:
                self.store.delete(place)

    def check_fence(self) -> None:
        newest = self._json(f"{self.prefix}/{FENCE}").get("attempt", 0)
        if newest > self.attempt:
            raise Interrupted(
                f"attempt {newest} has taken over from this one ({self.attempt}): nothing more is written."
            )

    def save(self, strategy: Strategy, state: State) -> None:
        """Writes one checkpoint, then forgets the oldest, but never the best where that is kept.

        All ranks must call it; it returns when it is complete.
        """
        self.check_fence()
        rank = strategy.peers.rank
        place = f"{self.prefix}/step-{state.step:08d}-a{self.attempt}"
        written = {}
        for number, part in enumerate(parts(strategy)):
            file = self._own(rank) / f"part-{rank:05d}-{number:05d}.safetensors"
            save_file(part, file)
            written[file.name] = self._put(file, place)
        everyones = strategy.peers.everyones(written)
        if rank == 0:
            file = self._own(rank) / STATE
            file.write_text(json.dumps(asdict(state)))
            files = {STATE: self._put(file, place)} | {
                name: told for files in everyones for name, told in files.items()
            }
            self.check_fence()
            self._put_json({"step": state.step, "attempt": self.attempt, "files": files}, f"{place}/{MANIFEST}")
            is_best = strategy.objective.spec.evaluation.keep_best
            self.forget(self.complete()[self.keep :], state.best.step if is_best and state.best else None)
        strategy.peers.barrier()

    def forget(self, places: list[str], but_step: int | None = None) -> None:
        """Removes these checkpoints, but that of `but_step`."""
        for old in places:
            if step_of(old) != but_step:
                self.store.delete(f"{old}/{MANIFEST}")
                self.store.delete(old)

    def complete(self) -> list[str]:
        """Folders of the checkpoints that have a manifest, newest first."""
        entries = self.store.list(self.prefix)
        return sorted((e.path.rpartition("/")[0] for e in entries if e.path.endswith(f"/{MANIFEST}")), reverse=True)

    def restore(self, strategy: Strategy, step: int | None = None) -> State | None:
        """Brings back the newest whole checkpoint, or that of `step`; None when there is none. All ranks must call it.

        Raises ConfigurationInvalid where it holds what isn't trained here.
        """
        found = self.newest(strategy.peers, step)
        if found is None:
            return None
        state, files = found
        objective = strategy.objective
        take(objective.model, objective.method, files, objective.device, strategy.take)
        strategy.take_step(state.step)
        self.discard(strategy.peers)
        return state

    def newest(self, peers: Peers, step: int | None = None) -> tuple[State, list[Path]] | None:
        """The newest whole checkpoint, or that of `step`, and its parts on this machine. A damaged one is told and passed over.

        All ranks must call it. Each looks over its share of the files; what one finds damaged counts for all.
        """
        for place in self.complete():
            if step is not None and step_of(place) != step:
                continue
            told = self._files(place)
            files = self._brought(place, told or {})
            mine = sorted(told or {})[peers.rank :: peers.world]
            faults = [MANIFEST] if told is None else [n for n in mine if not is_whole(files.get(n), told[n])]
            damaged = sorted({name for found in peers.everyones(faults) for name in found})
            if damaged:
                self.say(f"checkpoint {place} is damaged ({', '.join(damaged)}): going on from the one before")
                continue
            return State.read(files.pop(STATE)), list(files.values())
        return None

    def discard(self, peers: Peers) -> None:
        """Removes what was brought to this machine. All ranks must call it, when all have taken what they need."""
        peers.barrier()
        with in_turn(self.brought):
            for folder in self.brought.glob("*/"):
                shutil.rmtree(folder)
        peers.barrier()

    def clear(self) -> None:
        self.store.delete(self.prefix)

    @property
    def brought(self) -> Path:
        """Where the files of checkpoints are that come from a store elsewhere: once for all processes of a pod."""
        return self.scratch / "brought"

    def _files(self, place: str) -> Files | None:
        """The files that a checkpoint's manifest tells of; None when it is no manifest."""
        try:
            files: Files = self._json(f"{place}/{MANIFEST}")["files"]
        except (ValueError, KeyError):
            return None
        return files

    def _brought(self, place: str, told: Files) -> dict[str, Path]:
        """Those of the files that are there, by name, on this machine."""
        there = [entry for entry in self.store.list(place) if entry.path.rpartition("/")[2] in told]
        with in_turn(self.brought):
            here = [self.store.local(entry.path) for entry in there]
            far = [entry for entry, file in zip(there, here, strict=True) if file is None]
            files = [file for file in here if file] + (bring(self.store, far, self.brought) if far else [])
        return {file.name: file for file in files}

    def _own(self, rank: int) -> Path:
        """A folder of this rank alone: those of one pod share its scratch space."""
        folder = self.scratch / f"rank-{rank}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _put(self, file: Path, place: str) -> dict[str, Any]:
        """Moves a file into the store."""
        told = facts(file)
        self.store.put(file, f"{place}/{file.name}")
        file.unlink()
        return told

    def _json(self, path: str) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(peek(self.store, path) or "{}")
        return told

    def _put_json(self, value: dict[str, Any], path: str) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True)
        local = self.scratch / "put.json"
        local.write_text(json.dumps(value))
        self.store.put(local, path)


def step_of(place: str) -> int:
    """The step of a checkpoint, by its folder."""
    return int(place.rpartition("/")[2].removeprefix("step-").partition("-")[0])


def attempt_of(place: str) -> int:
    """The attempt that wrote a checkpoint, by its folder."""
    return int(place.rpartition("-a")[2])


def is_whole(file: Path | None, told: dict[str, Any]) -> bool:
    return file is not None and digest(file) == told["sha256"]
