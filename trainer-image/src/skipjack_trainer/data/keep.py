"""Tables that are kept on the pod's scratch volume, so that its other processes and a later start need not make them again.

A key names everything that decides a table's content. A folder of that name is whole from the moment it is there: it is written
under another name, and moved. What was damaged since is made anew.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from skipjack.resolve import ResolvedSpec

from ..in_turn import in_turn
from ..shape import ModelFacts, Shape
from .sample import rows_seen
from .sources import Source, Sources
from .table import NotWhole

Whole = TypeVar("Whole")

WRITERS = ("jinja2", "pillow", "tokenizers", "transformers")
"""Libraries that decide what a row becomes."""

DECIDED_LATER = {"train", "validation", "validation_split", "overlong", "packing", "stride"}
"""Of a dataset: what is told elsewhere in the key, or only chooses among examples and shortens them."""


def kept(folder: Path, key: str, load: Callable[[Path], Whole], make: Callable[[Path], None]) -> Whole:
    """What `load` reads from the folder that `make` has written. `load` raises NotWhole for one that it can't use."""
    place = folder / key
    try:
        return load(place)
    except NotWhole:
        pass
    with in_turn(folder):
        try:
            return load(place)
        except NotWhole:
            aside = folder / f"{key}.part"
            for left_behind in (aside, place):
                shutil.rmtree(left_behind, ignore_errors=True)
            make(aside)
            aside.rename(place)
    return load(place)


def key_of(spec: ResolvedSpec, sources: Sources, tokenizer: Any, model: ModelFacts) -> str:
    """Of all that decides which tokens and weights the rows of `sources` become."""
    told = {
        "train": [_source(source) for source in sources.train],
        "validation": [_source(source) for source in sources.validation],
        "sample": _sample(spec, sources),
        "task": spec.task,
        "dataset": spec.dataset.model_dump(exclude=DECIDED_LATER),
        "class weights": [spec.hyperparameters.class_weights, spec.hyperparameters.balance_classes],
        "model": [model.shape.name, model.context_length, model.picture],
        # Of all shapes encoders alone may read a row in windows, which are cut where the examples are made.
        "window": [spec.hyperparameters.max_length, spec.dataset.stride] if model.shape is Shape.ENCODER else None,
        "tokenizer": type(tokenizer).__name__ + _of(tokenizer.backend_tokenizer.to_str().encode()),
        "special tokens": tokenizer.special_tokens_map,
        "template": tokenizer.chat_template,
        "code": [_of(file.read_bytes()) for file in sorted(Path(__file__).parent.rglob("*.py"))],
        "libraries": [version(name) for name in WRITERS],
    }
    return _of(json.dumps(told, sort_keys=True, default=str).encode())


def _sample(spec: ResolvedSpec, sources: Sources) -> list[Any] | None:
    seen = rows_seen(spec, sources)
    return None if seen is None else [seen, spec.hyperparameters.seed, spec.dataset.validation_split]


def _source(source: Source) -> list[Any]:
    files = [[file.name, file.identity()] for file in (*source.files, *source.pictures)]
    told = source.told
    return [told.title, told.format, told.columns, *files]


def _of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
