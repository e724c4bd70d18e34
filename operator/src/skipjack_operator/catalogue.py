"""The catalogues: seeded once from the chart's file, then owned by people, and read as they are now."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from skipjack.api.v1alpha1 import BaseModelResource, NodeTypeResource
from skipjack.resolve import Catalogue

from . import metrics
from .client import BASE_MODELS, NODE_TYPES, AlreadyExists, Forbidden, Invalid, Kind, Kube

logger = logging.getLogger(__name__)

FRESH_SECONDS = 60.0
SEED_PATH = Path("/etc/skipjack/catalogue/catalogue.yaml")

Resource = NodeTypeResource | BaseModelResource


@dataclass(frozen=True, slots=True)
class Section:
    """One list of the file, and what its entries become."""

    kind: Kind
    name: str
    model: type[NodeTypeResource] | type[BaseModelResource]


SECTIONS = {
    "nodeTypes": Section(NODE_TYPES, "NodeType", NodeTypeResource),
    "baseModels": Section(BASE_MODELS, "BaseModel", BaseModelResource),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that can't be used: where it is, and what is wrong with it."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


async def seed(kube: Kube, path: Path = SEED_PATH) -> tuple[Refusal, ...]:
    """Create what the file lists and the cluster lacks; overwrite nothing. Gives the entries that were refused, logged.

    Raises KubeError when the API server can't be reached or serves no catalogues.
    """
    if not path.exists():
        return ()
    outcomes = [entry if isinstance(entry, Refusal) else await _create(kube, path, *entry) for entry in read(path)]
    refusals = tuple(refusal for refusal in outcomes if refusal is not None)
    for refusal in refusals:
        logger.error("catalogue entry refused: %s", refusal)
    return refusals


def read(path: Path) -> Iterator[tuple[Section, Resource] | Refusal]:
    """The entries of the file (`nodeTypes` and `baseModels`, lists of name and spec), or why one can't be used."""
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        yield Refusal(path.name, f"is not YAML: {error}")
        return
    if not isinstance(told or {}, dict):
        yield Refusal(path.name, f"holds a {type(told).__name__}; expected {' and '.join(SECTIONS)}")
        return
    for field, entries in (told or {}).items():
        section = SECTIONS.get(field)
        if section is None:
            yield Refusal(f"{path.name}: {field}", f"is unknown; expected {' or '.join(SECTIONS)}")
        elif not isinstance(entries or [], list):
            yield Refusal(f"{path.name}: {field}", "must be a list of entries with name and spec")
        else:
            for index, entry in enumerate(entries or []):
                yield _entry(section, entry, f"{path.name}: {field}[{index}]")


class Shelf:
    """The catalogues as they are, read again when a watch says that they changed, and every FRESH_SECONDS in case it didn't."""

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._catalogue: Catalogue | None = None
        self._until = 0.0
        self._reading = asyncio.Lock()

    def changed(self) -> None:
        """What is known is no longer so."""
        self._until = 0.0

    async def catalogue(self) -> Catalogue:
        """Raises KubeError."""
        async with self._reading:
            if self._catalogue is None or self._clock() >= self._until:
                # Set before reading: a change that is told meanwhile must not be lost.
                self._until = self._clock() + FRESH_SECONDS
                try:
                    self._catalogue = await load(self._kube)
                except BaseException:
                    self._until = 0.0
                    raise
            return self._catalogue


async def load(kube: Kube) -> Catalogue:
    """The NodeTypes and BaseModels as they are now; invalid ones are left out, with a line in the log."""
    node_types = await _load(kube, SECTIONS["nodeTypes"])
    base_models = await _load(kube, SECTIONS["baseModels"])
    return Catalogue(
        tuple(t for t in node_types if isinstance(t, NodeTypeResource)),
        tuple(m for m in base_models if isinstance(m, BaseModelResource)),
    )


async def _load(kube: Kube, section: Section) -> list[Resource]:
    found = [
        _entry(section, {"name": live["metadata"]["name"], "spec": live.get("spec")}, section.name)
        for live in await kube.list(section.kind)
    ]
    refusals = [entry for entry in found if isinstance(entry, Refusal)]
    for refusal in refusals:
        logger.error("left out of the catalogue: %s", refusal)
    metrics.CATALOGUE_INVALID.labels(section.name).set(len(refusals))
    return [entry[1] for entry in found if not isinstance(entry, Refusal)]


def _entry(section: Section, entry: Any, where: str) -> tuple[Section, Resource] | Refusal:
    name = entry.get("name") if isinstance(entry, dict) else None
    where = f"{where} ({name})" if name else where
    try:
        return section, section.model.model_validate(entry)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, e['loc'])) or 'entry'}: {e['msg']}" for e in error.errors(include_url=False))
        return Refusal(where, "; ".join(faults))


async def _create(kube: Kube, path: Path, section: Section, resource: Resource) -> Refusal | None:
    body = {
        "apiVersion": section.kind.api_version,
        "kind": section.name,
        "metadata": {"name": resource.name},
        "spec": resource.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }
    try:
        await kube.create(section.kind, None, body)
    except AlreadyExists:
        return None
    except (Invalid, Forbidden) as error:
        return Refusal(f"{path.name}: {section.name} {resource.name}", f"the API server refuses it: {error.message}")
    logger.info("%s %s created from the catalogue file", section.name, resource.name)
    return None
