"""The files that a dataset's URIs name, brought to this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from skipjack.resolve import ResolvedSpec
from skipjack.resolve.resolved import ResolvedSource

from ..errors import ConfigurationInvalid, DataInvalid, DataNotFound
from ..storage import Access, Entry, Store, bring, open_store
from .read import READERS, format_of
from .splits import README, configs_of, files_of


@dataclass(frozen=True, slots=True)
class File:
    """A file on this machine, and what messages call it."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Source:
    """One source of a dataset, its files at hand."""

    told: ResolvedSource
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that a job reads."""

    train: tuple[Source, ...]
    validation: tuple[Source, ...]


def fetch(spec: ResolvedSpec, access: Access) -> Sources:
    """Raises DataNotFound, DataInvalid, AccessDenied, StorageFailed, NoSpace."""
    into = access.scratch / "data"
    return Sources(
        _all(spec.dataset.train, access, into / "train"), _all(spec.dataset.validation, access, into / "validation")
    )


def _all(sources: Iterable[ResolvedSource], access: Access, into: Path) -> tuple[Source, ...]:
    """Each into a folder of its own: files of the same name may come from several places."""
    return tuple(
        Source(source, tuple(_files(source, access, into / str(number)))) for number, source in enumerate(sources)
    )


def _files(source: ResolvedSource, access: Access, into: Path) -> list[File]:
    store, path = open_store(source.uri, access)
    here = store.local(path)
    chooses = source.split or source.subset
    if "*" not in path and (here.is_file() if here else format_of(path) in READERS):
        if chooses:
            raise ConfigurationInvalid(
                f"{source.title}: that is a file: leave split and subset out, or name its folder."
            )
        into.mkdir(parents=True, exist_ok=True)
        return [File(here or store.get(path, into), path.rpartition("/")[2])]
    if "*" in path and chooses:
        raise ConfigurationInvalid(
            f"{source.title}: split and subset choose files of a folder: leave them out, or the '*'."
        )
    folder = (path.partition("*")[0].rpartition("/")[0] if "*" in path else path).rstrip("/")
    known = store.list(f"{folder}/" if folder else "")
    wanted = [entry for entry in known if format_of(entry.path) in READERS and _fits(entry.path, path, folder)]
    if not wanted:
        shown = ", ".join(entry.path for entry in known[:20]) or "none at all"
        raise DataNotFound(f"{source.uri}: no file fits it (they end in {', '.join(READERS)}); there are: {shown}.")
    if chooses or (source.uri.startswith("hf://") and not path):
        readme = f"{folder}/{README}".lstrip("/")
        told = _text(store, readme, into) if any(entry.path == readme for entry in known) else ""
        by_name = {_short(entry, folder): entry for entry in wanted}
        wanted = [by_name[name] for name in files_of(list(by_name), configs_of(told, source.title), source)]
    kinds = sorted({format_of(entry.path) for entry in wanted})
    if len(kinds) > 1:
        raise DataInvalid(
            f"{source.title}: it names files of several kinds ({', '.join(kinds)}): say which, with '*{kinds[0]}' for example."
        )
    places = [store.local(entry.path) for entry in wanted]
    found = [place for place in places if place is not None] if all(places) else bring(store, wanted, into)
    return [File(place, _short(entry, folder)) for place, entry in zip(found, wanted, strict=True)]


def _text(store: Store, path: str, into: Path) -> str:
    return (store.local(path) or store.get(path, into)).read_text(errors="replace")


def _fits(file: str, path: str, folder: str) -> bool:
    """Whether the URI's `path` names `file`: a folder all below it but what is hidden, a '*' within one part of a path."""
    parts = file.split("/")
    if "*" not in path:
        return not any(part.startswith(".") for part in file.removeprefix(folder).split("/"))
    patterns = path.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _short(entry: Entry, folder: str) -> str:
    return entry.path.removeprefix(folder).lstrip("/")
