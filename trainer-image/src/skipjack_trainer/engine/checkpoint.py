"""Checkpoints: complete only with their manifest, which is written last; fenced, so that a straggler can't write over its successor.

They hold whole tensors by the names of their parameters, never by ranks, so that a run goes on with any strategy on any number
of processes: 12 bytes a trained parameter (weight and two moments in fp32). Each rank writes every world-th parameter.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ..errors import ConfigurationInvalid, Interrupted
from ..methods.base import Tensors
from ..storage import Store
from .best import Best
from .objective import trained
from .scale import LossScale
from .strategies import Strategy

MANIFEST = "manifest.json"
FENCE = "fence.json"
STATE = "state.json"
EXTRA = "extra"
PART_BYTES = 2**30
"""A rank holds about so much of a checkpoint in memory at a time."""

Files = dict[str, dict[str, Any]]
"""Name in the checkpoint → its bytes and sha256."""


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


Change = Callable[[Tensors], Tensors]


def as_stored(state: Tensors) -> Tensors:
    return state


def weights_alone(state: Tensors) -> Tensors:
    """The weight, with moments as before the first step."""
    return {kind: tensor if kind == "weight" else torch.zeros_like(tensor) for kind, tensor in state.items()}


class Checkpoints:
    """The checkpoints of one job, below `prefix` of its output's store."""

    def __init__(
        self, store: Store, prefix: str, attempt: int, keep: int, scratch: Path, say: Callable[[str], None] = print
    ) -> None:
        self.store, self.prefix, self.attempt, self.keep, self.scratch = store, prefix, attempt, keep, scratch
        self.say = say

    def raise_fence(self) -> None:
        """From now on no earlier attempt may write. Raises Interrupted when a later one is there already."""
        self.check_fence()
        self._put_json({"attempt": self.attempt}, f"{self.prefix}/{FENCE}")

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
        entries = self.store.list(self.prefix) if self.store.exists(self.prefix) else []
        return sorted((e.path.rpartition("/")[0] for e in entries if e.path.endswith(f"/{MANIFEST}")), reverse=True)

    def restore(self, strategy: Strategy, step: int | None = None, change: Change = as_stored) -> State | None:
        """Brings back the newest whole checkpoint, or that of `step`; None when there is none. A damaged one is told and passed over.

        All ranks must call it. Each looks over its share of the files; what one finds damaged counts for all.
        """
        rank, world = strategy.peers.rank, strategy.peers.world
        for place in self.complete():
            if step is not None and step_of(place) != step:
                continue
            told = self._files(place)
            files = {name: self._bring(f"{place}/{name}", rank) for name in told or {}}
            mine = sorted(files)[rank::world]
            faults = [MANIFEST] if told is None else [name for name in mine if not is_whole(files[name], told[name])]
            damaged = sorted({name for found in strategy.peers.everyones(faults) for name in found})
            if damaged:
                self.say(f"checkpoint {place} is damaged ({', '.join(damaged)}): going on from the one before")
                continue
            state = State.read(files[STATE])
            take(strategy, [file for name, file in files.items() if name != STATE], change)
            strategy.take_step(state.step)
            return state
        return None

    def clear(self) -> None:
        if self.store.exists(self.prefix):
            self.store.delete(self.prefix)

    def _files(self, place: str) -> Files | None:
        """The files that a checkpoint's manifest tells of; None when it is no manifest."""
        try:
            files: Files = self._json(f"{place}/{MANIFEST}")["files"]
        except (ValueError, KeyError):
            return None
        return files

    def _bring(self, path: str, rank: int) -> Path | None:
        """The file's place on this machine; None when there is none of that name."""
        if not self.store.exists(path):
            return None
        return self.store.local(path) or self.store.get(path, self._own(rank))

    def _own(self, rank: int) -> Path:
        """A folder of this rank alone: those of one pod share its scratch space."""
        folder = self.scratch / f"rank-{rank}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _put(self, file: Path, place: str) -> dict[str, Any]:
        """Moves a file into the store."""
        told = {"bytes": file.stat().st_size, "sha256": digest(file)}
        self.store.put(file, f"{place}/{file.name}")
        file.unlink()
        return told

    def _json(self, path: str) -> dict[str, Any]:
        if not self.store.exists(path):
            return {}
        place = self.store.local(path) or self.store.get(path, self.scratch)
        told: dict[str, Any] = json.loads(place.read_text())
        return told

    def _put_json(self, value: dict[str, Any], path: str) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True)
        local = self.scratch / "put.json"
        local.write_text(json.dumps(value))
        self.store.put(local, path)


def parts(strategy: Strategy) -> Iterator[dict[str, torch.Tensor]]:
    """What this rank writes, in parts of about PART_BYTES: of every world-th entry `KIND:NAME` → tensor, in host memory."""
    part: dict[str, torch.Tensor] = {}
    for number, (name, state) in enumerate(chain(strategy.states(), extras(strategy))):
        if number % strategy.peers.world == strategy.peers.rank:
            part |= {f"{kind}:{name}": tensor.cpu().contiguous() for kind, tensor in state.items()}
        if sum(tensor.nbytes for tensor in part.values()) >= PART_BYTES:
            yield part
            part = {}
    if part:
        yield part


def take(strategy: Strategy, files: list[Path], change: Change = as_stored) -> None:
    """Sets all parameters from the parts, one at a time and in the same order on all ranks. Raises ConfigurationInvalid."""
    with ExitStack() as opened:
        kinds: dict[str, dict[str, Any]] = {}
        for file in files:
            part = opened.enter_context(safe_open(file, "pt"))
            for key in part.keys():  # noqa: SIM118 -- it is no dictionary
                kind, _, name = key.partition(":")
                kinds.setdefault(name, {})[kind] = part
        refuse_others(strategy, {name for name, parts_of in kinds.items() if EXTRA not in parts_of})
        device, extra = strategy.objective.device, {}
        for name, parts_of in sorted(kinds.items()):
            state = {kind: part.get_tensor(f"{kind}:{name}").to(device) for kind, part in parts_of.items()}
            if EXTRA in state:
                extra[name] = state[EXTRA]
            else:
                strategy.take(name, change(state))
        strategy.objective.method.take_extra(strategy.objective.model, extra)


def refuse_others(strategy: Strategy, stored: set[str]) -> None:
    """Raises ConfigurationInvalid where what was trained then is not what is trained now."""
    here = {name for name, _ in trained(strategy.objective.model)}
    if stored != here:
        only = [min(some, default="nothing more") for some in (stored - here, here - stored)]
        raise ConfigurationInvalid(
            f"the checkpoint holds {only[0]}, this job trains {only[1]}: method, its settings and model must be those that it was made with."
        )


def extras(strategy: Strategy) -> Iterator[tuple[str, dict[str, torch.Tensor]]]:
    """What the method keeps beside parameters, the same on all ranks."""
    objective = strategy.objective
    yield from ((name, {EXTRA: tensor}) for name, tensor in objective.method.extra_state(objective.model).items())


def step_of(place: str) -> int:
    """The step of a checkpoint, by its folder."""
    return int(place.rpartition("/")[2].removeprefix("step-").partition("-")[0])


def is_whole(file: Path | None, told: dict[str, Any]) -> bool:
    return file is not None and digest(file) == told["sha256"]


def digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
