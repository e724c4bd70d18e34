"""Which files of a model's repository are read: publishers lay further copies of all weights beside those."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path

from .diffusion.pipeline import INDEX, PARTS, WEIGHTY

WEIGHTS = ".safetensors"
BESIDE_WEIGHTS = (".json", ".jinja", ".model", ".tiktoken", ".txt")
STEMS = ("model", "diffusion_pytorch_model")
"""How transformers and diffusers call their weights."""
HALF = "fp16"
"""The variant of a pipeline's weights that is read where no others are."""


def used_of(names: Collection[str]) -> set[str]:
    """Those of a repository's files that a model is read from, before one copy of its weights is chosen: of a pipeline its parts' own."""
    if INDEX not in names:
        return {name for name in names if "/" not in name}
    return {INDEX} | {name for name in names if name.count("/") == 1 and name.partition("/")[0] in PARTS}


def weights_of(folder: Path, names: Iterable[str]) -> set[str]:
    """Those of the files `names`, all of one folder, that hold the weights that will be read."""
    weights = {name for name in names if name.endswith(WEIGHTS)}
    for stem in STEMS:
        index = folder / f"{stem}{WEIGHTS}.index.json"
        if index.is_file():
            return set(json.loads(index.read_text())["weight_map"].values())
        for whole in (f"{stem}{WEIGHTS}", f"{stem}.{HALF}{WEIGHTS}"):
            if whole in weights:
                return {whole}
    return weights


def variant_of(folder: Path) -> str | None:
    """HALF for a pipeline's part that comes in that variant alone."""
    names = {file.name for file in folder.iterdir()}
    wanted = weights_of(folder, names)
    return HALF if wanted and all(name.endswith(f".{HALF}{WEIGHTS}") for name in wanted) else None


def lacking(folder: Path) -> str | None:
    """The part of the model that has no safetensors ('' for all of a language model); None when there are all."""
    parts = WEIGHTY if (folder / INDEX).is_file() else ("",)
    return next((part for part in parts if not any((folder / part).glob(f"*{WEIGHTS}"))), None)
