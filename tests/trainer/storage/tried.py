"""What trials of storage are made with: files, outputs of jobs, and lines that break for good."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.trainer import tiny
from tests.trainer.storage.sites import Site

from skipjack.api.v1alpha1.uris import takes_results_alone
from skipjack_trainer.errors import ConfigurationInvalid
from skipjack_trainer.export.output import Output, open_output
from skipjack_trainer.storage import Store

ROWS = b'{"text": "one"}\n'
LARGE = bytes(range(256)) * 4000
CUT_BYTES = len(LARGE) // 2


@contextmanager
def broken_off(site: Site) -> Iterator[None]:
    """Whoever stores something larger than CUT_BYTES comes to its half, and no further."""
    if site.front:
        site.front.faults.cut_after_bytes, site.front.faults.uploads, site.front.faults.closes = CUT_BYTES, 1, True
        try:
            yield
        finally:
            site.front.calm()
    else:
        usual = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (CUT_BYTES, usual[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def can_write(write: Callable[[], None]) -> bool:
    """Whether it was written; a store that can't says so."""
    try:
        write()
    except ConfigurationInvalid as error:
        if "can only be read" not in str(error):
            raise
        return False
    return True


def written(into: Path, content: bytes) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    place = into / "local"
    place.write_bytes(content)
    return place


def folder(into: Path, files: dict[str, bytes]) -> Path:
    """A new one with these files."""
    into.mkdir(parents=True, exist_ok=True)
    made = into / f"export-{len(list(into.iterdir()))}"
    for name, content in files.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(content)
    return made


def sizes(store: Store, path: str) -> dict[str, int]:
    """Name below `path` → bytes, of all that is there."""
    return {e.path.removeprefix(path).lstrip("/"): e.size_bytes for e in store.list(path)}


def output(site: Site, name: str, uid: str, if_exists: str = "Fail") -> Output:
    uri, checkpoint = site.uri(name), dict[str, object](everySteps=2)
    if takes_results_alone(uri):
        (site.access.claims / "work").mkdir(parents=True, exist_ok=True)
        checkpoint |= {"uri": f"pvc://work/{name}"}
    told = tiny.resolved(uid=uid, output={"uri": uri, "ifExists": if_exists}, checkpoint=checkpoint)
    made = open_output(told, site.access)
    made.prepare()
    return made


def secrets(site: Site) -> list[str]:
    return [file.read_text().strip() for file in site.access.credentials.rglob("*") if file.is_file()]
