"""Whether the disk can hold what a cluster needs, asked before it runs full: etcd dies of that, and says something else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import images, programs, registry
from .node import Node
from .steps import CACHE, Failed, sh

RESERVE_GIB = 2.0
"""For volumes, logs and what a job writes."""


@dataclass(frozen=True, slots=True)
class Need:
    """A part of a cluster: how much it grows to at most (measured), and the folders where it is kept."""

    what: str
    gib: float
    folders: tuple[Path, ...]


def needs(nodes: Sequence[Node]) -> list[Need]:
    """What is still to come to the disk for a cluster of those nodes with the images of this tree."""
    parts = []
    if not all(programs.is_built(module) for module in programs.MODULES):
        parts.append(Need("Go's caches and the programs", 11.0, (*go_caches(), CACHE / "programs")))
    if not any(CACHE.glob("hub-*/.done")):
        parts.append(Need("the hub's models", 0.3, ()))
    builds = not registry.place(images.reference("trainer")).is_dir()
    if builds:
        parts.append(Need("the images in buildkit", 9.5, (CACHE / "buildkit",)))
        parts.append(Need("the images in the registry", 3.0, (registry.STORE,)))
    pulling = [node for node in nodes if builds or not node.store.exists()]
    parts += [Need(f"the images on {node.name}", 6.5, (node.store,)) for node in pulling]
    if pulling:
        parts.append(Need("room to build and to unpack them in", 6.0, ()))
    return parts


def check(nodes: Sequence[Node]) -> None:
    """Raises Failed where there is less room than what is to come will take."""
    CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(CACHE).free / 2**30
    parts = needs(nodes)
    # Folders of many gigabytes are walked only if that can matter.
    if free < RESERVE_GIB + sum(need.gib for need in parts):
        require(free, [(need, held_gib(need.folders)) for need in parts])


def require(free_gib: float, parts: Sequence[tuple[Need, float]]) -> None:
    """Holds what is free against what each part still lacks, given with what it has. Raises Failed with the sums."""
    missing = {need.what: need.gib - held for need, held in parts if held < need.gib}
    wanted = RESERVE_GIB + sum(missing.values())
    if free_gib < wanted:
        items = "".join(f"\n  {gib:5.1f} GiB  {what}" for what, gib in missing.items())
        raise Failed(
            f"{CACHE} has {free_gib:.1f} GiB free, and {wanted:.1f} are needed beside what is cached:{items}\n"
            f"  {RESERVE_GIB:5.1f} GiB  in reserve\nmake room, or set SKIPJACK_CACHE to a folder on a larger disk"
        )


def go_caches() -> list[Path]:
    return [Path(line) for line in sh("go", "env", "GOCACHE", "GOMODCACHE").split()]


def held_gib(folders: Sequence[Path]) -> float:
    """What those folders take, each file counted once."""
    there = [folder for folder in folders if folder.exists()]
    if not there:
        return 0.0
    return int(sh("du", "--summarize", "--total", "--block-size=1K", *there).splitlines()[-1].split()[0]) / 2**20
