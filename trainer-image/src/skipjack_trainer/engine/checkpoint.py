"""Checkpoints: complete only with their manifest, which is written last; fenced, so that a straggler can't write over its successor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..errors import Interrupted
from ..storage import Store

MANIFEST = "manifest.json"
FENCE = "fence.json"


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

    def save(self, model: Any, optimizer: torch.optim.Optimizer, state: State) -> None:
        """Writes one checkpoint, then forgets the oldest."""
        self.check_fence()
        folder = self.scratch / "checkpoint"
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: p.detach().cpu().contiguous() for name, p in trained(model)}, folder / "weights.safetensors")
        torch.save(optimizer.state_dict(), folder / "optimizer.pt")
        (folder / "state.json").write_text(json.dumps(asdict(state)))
        place = f"{self.prefix}/step-{state.step:08d}-a{self.attempt}"
        files = {}
        for file in sorted(folder.iterdir()):
            files[file.name] = {"bytes": file.stat().st_size, "sha256": digest(file)}
            self.store.put(file, f"{place}/{file.name}")
        self._put_json({"step": state.step, "attempt": self.attempt, "files": files}, f"{place}/{MANIFEST}")
        for old in self.complete()[self.keep :]:
            self.store.delete(f"{old}/{MANIFEST}")
            self.store.delete(old)

    def complete(self) -> list[str]:
        """Folders of the checkpoints that have a manifest, newest first."""
        entries = self.store.list(self.prefix) if self.store.exists(self.prefix) else []
        return sorted((e.path.rpartition("/")[0] for e in entries if e.path.endswith(f"/{MANIFEST}")), reverse=True)

    def restore(self, model: Any, optimizer: torch.optim.Optimizer) -> State | None:
        """Brings back the newest whole checkpoint; None when there is none. A damaged one is told and passed over."""
        for place in self.complete():
            files, damaged = self._fetch(place)
            if damaged:
                self.say(f"checkpoint {place} is damaged ({', '.join(damaged)}): going on from the one before")
                continue
            weights = load_file(files["weights.safetensors"])
            with torch.no_grad():
                for name, parameter in trained(model):
                    parameter.copy_(weights[name])
            optimizer.load_state_dict(torch.load(files["optimizer.pt"], weights_only=True))
            told = json.loads(files["state.json"].read_text())
            return State(told["step"], told["curve"], Before(**told["before"]))
        return None

    def _fetch(self, place: str) -> tuple[dict[str, Path], list[str]]:
        """The files of a checkpoint on this machine, and the names of those that are not as they were written."""
        try:
            told = self._json(f"{place}/{MANIFEST}")["files"]
        except (ValueError, KeyError):
            return {}, [MANIFEST]
        there = [name for name in told if self.store.exists(f"{place}/{name}")]
        files = {
            name: self.store.local(f"{place}/{name}") or self.store.get(f"{place}/{name}", self.scratch / "restore")
            for name in there
        }
        return files, [name for name in told if name not in files or digest(files[name]) != told[name]["sha256"]]

    def clear(self) -> None:
        if self.store.exists(self.prefix):
            self.store.delete(self.prefix)

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


def trained(model: Any) -> list[tuple[str, torch.nn.Parameter]]:
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]


def digest(file: Path) -> str:
    with file.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
