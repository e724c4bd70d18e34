"""The files that a dataset's URIs name, brought to this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from skipjack.resolve import ResolvedSpec
from skipjack.resolve.resolved import ResolvedSource

from ..digests import digest
from ..errors import ConfigurationInvalid, DataInvalid, DataNotFound, NoSpace
from ..storage import Access, Entry, Store, bring, brought, open_store
from .images import ENDINGS
from .read import READERS, Row, format_of, read
from .splits import README, configs_of, files_of

ROWS_LOOKED_AT = 16
"""Of a table, for names of pictures: the first may lack one."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file that is fetched anew each time that it is read, since all together are too large for the scratch volume."""

    store: Store
    entry: Entry
    version: str
    """By which its store's content is told from what was or will be there."""


@dataclass(frozen=True, slots=True)
class File:
    """A file, and what messages call it."""

    path: Path
    """Where it is on this machine; of one that is remote, the folder in which it comes and goes."""
    name: str
    remote: Remote | None = None

    @property
    def size_bytes(self) -> int:
        return self.remote.entry.size_bytes if self.remote else self.path.stat().st_size

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """Where it is while it is read."""
        if self.remote is None:
            yield self.path
            return
        with TemporaryDirectory(dir=self.path) as folder:
            yield self.remote.store.get(self.remote.entry.path, Path(folder))

    def identity(self) -> str:
        """Differs where its content does."""
        if self.remote is not None:
            return f"{self.remote.version} {self.remote.entry}"
        return digest(self.path)


@dataclass(frozen=True, slots=True)
class Source:
    """One source of a dataset, its files at hand."""

    told: ResolvedSource
    files: tuple[File, ...]
    pictures: tuple[File, ...] = ()
    """Those that lie beside tables that name some."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that a job reads."""

    train: tuple[Source, ...]
    validation: tuple[Source, ...]


Free = Callable[[Path], int]
"""Bytes that are left on a folder's volume."""


def free_bytes(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def fetch(spec: ResolvedSpec, access: Access, free: Free = free_bytes) -> Sources:
    """Raises DataNotFound, DataInvalid, AccessDenied, StorageFailed, NoSpace."""
    into = access.scratch / "data"
    return Sources(
        _all(spec.dataset.train, access, into / "train", free),
        _all(spec.dataset.validation, access, into / "validation", free),
    )


def _all(sources: Iterable[ResolvedSource], access: Access, into: Path, free: Free) -> tuple[Source, ...]:
    """Each into a folder of its own: files of the same name may come from several places."""
    return tuple(_source(source, access, into / str(number), free) for number, source in enumerate(sources))


def _source(told: ResolvedSource, access: Access, into: Path, free: Free) -> Source:
    store, path = open_store(told.uri, access)
    files = _files(told, store, path, into, free)
    if not _names_pictures(files[0]):
        return Source(told, tuple(files))
    if files[0].remote:
        # Pictures lie beside their table: it must be here, or there is no space.
        files = _brought(store, [file.remote.entry for file in files if file.remote], _folder(path), into)
    return Source(told, tuple(files), tuple(_pictures(store, path, into)))


def _files(source: ResolvedSource, store: Store, path: str, into: Path, free: Free) -> list[File]:
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
    folder = _folder(path)
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
    if found := _at_hand(store, wanted, folder):
        return found
    into.mkdir(parents=True, exist_ok=True)
    return _fetched(source, store, wanted, folder, into, free(into))


def _at_hand(store: Store, wanted: Sequence[Entry], folder: str) -> list[File]:
    """The files where they are, if that is on this machine."""
    places = [place for entry in wanted if (place := store.local(entry.path))]
    if len(places) < len(wanted):
        return []
    return [File(place, _short(entry, folder)) for place, entry in zip(places, wanted, strict=True)]


def _fetched(
    source: ResolvedSource, store: Store, wanted: Sequence[Entry], folder: str, into: Path, free: int
) -> list[File]:
    """All of the files, brought here; each when it is read, where all would take more than half of what is `free`: tables want room."""
    lacking = [entry for entry in wanted if not brought(entry, into)]
    if sum(entry.size_bytes for entry in lacking) <= free / 2:
        return _brought(store, wanted, folder, into)
    largest = max(lacking, key=lambda entry: entry.size_bytes)
    if largest.size_bytes > free / 2:
        raise NoSpace(
            f"{source.title}: {largest.path} has {largest.size_bytes / 2**20:,.0f} MiB, the pod's scratch volume has {free / 2**20:,.0f} MiB left: "
            "split it into several files, which are then read one at a time, or take a nodeType with more disk."
        )
    version = store.pinned(source.uri)
    return [File(into, _short(entry, folder), Remote(store, entry, version)) for entry in wanted]


def _brought(store: Store, wanted: Sequence[Entry], folder: str, into: Path) -> list[File]:
    places = bring(store, wanted, into)
    return [File(place, _short(entry, folder)) for place, entry in zip(places, wanted, strict=True)]


def _text(store: Store, path: str, into: Path) -> str:
    return (store.local(path) or store.get(path, into)).read_text(errors="replace")


def _names_pictures(file: File) -> bool:
    """Whether one of the table's first rows has a picture's name in it, whatever the column is called."""
    try:
        with file.opened() as place:
            first = list(islice(read(place, file.name), ROWS_LOOKED_AT))
    except DataInvalid:
        return False  # whoever checks its rows tells it, with all else that is wrong
    values = (value for row in first if isinstance(row, Row) for value in row.values.values())
    return any(isinstance(value, str) and format_of(value) in ENDINGS for value in values)


def _pictures(store: Store, path: str, into: Path) -> list[File]:
    """All those beside and below the tables that `path` names."""
    folder = path.rpartition("/")[0] if format_of(path) in READERS and "*" not in path else _folder(path)
    known = store.list(f"{folder}/" if folder else "")
    wanted = [entry for entry in known if format_of(entry.path) in ENDINGS]
    return _at_hand(store, wanted, folder) or _brought(store, wanted, folder, into)


def _folder(path: str) -> str:
    """Below which the files lie that a URI's `path` names, where it isn't one file."""
    return (path.partition("*")[0].rpartition("/")[0] if "*" in path else path).rstrip("/")


def _fits(file: str, path: str, folder: str) -> bool:
    """Whether the URI's `path` names `file`: a folder all below it but what is hidden, a '*' within one part of a path."""
    parts = file.split("/")
    if "*" not in path:
        return not any(part.startswith(".") for part in file.removeprefix(folder).split("/"))
    patterns = path.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _short(entry: Entry, folder: str) -> str:
    return entry.path.removeprefix(folder).lstrip("/")
