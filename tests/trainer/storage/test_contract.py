"""What every storage scheme does alike, each on a real server, on a claim or on a ConfigMap: `trials` says what, `sites` where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest
from tests.support import tables
from tests.trainer.storage.sites import SITES, Site
from tests.trainer.storage.trials import TRIALS
from tests.trainer.storage.tried import ROWS, sizes

from skipjack_trainer.errors import ConfigurationInvalid, NoSpace, TrainerError
from skipjack_trainer.storage import SCHEMES, Access, Entry, bring, open_store

Seen = Callable[[str, str], str]
EVERY = [pytest.param(scheme, trial, id=f"{scheme} {trial}") for scheme, trial in product(sorted(SCHEMES), TRIALS)]


@pytest.fixture(scope="module")
def site_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Site]]:
    """The site of a scheme, brought up when it is first asked for."""
    up: dict[str, Site] = {}
    with ExitStack() as stack:

        def of(scheme: str) -> Site:
            if scheme not in up:
                up[scheme] = stack.enter_context(SITES[scheme](tmp_path_factory.mktemp(scheme)))
            return up[scheme]

        yield of


@pytest.fixture(scope="module")
def seen(site_of: Callable[[str], Site], tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What a trial of a scheme was seen to come to; each is made once."""
    words: dict[tuple[str, str], str] = {}

    def of(scheme: str, trial: str) -> str:
        if (scheme, trial) not in words:
            site = site_of(scheme)
            if site.front:
                site.front.calm()
            words[scheme, trial] = TRIALS[trial](site, tmp_path_factory.mktemp("into"))
        return words[scheme, trial]

    return of


@pytest.mark.parametrize(("scheme", "trial"), EVERY)
def test_every_scheme_stands_every_trial(scheme: str, trial: str, seen: Seen) -> None:
    assert seen(scheme, trial)


def test_the_page_tells_what_was_seen(seen: Seen) -> None:
    names = {scheme: f"`{scheme}://`" for scheme in sorted(SCHEMES)}
    cells = {(trial, names[scheme]): seen(scheme, trial) for scheme, trial in product(SCHEMES, TRIALS)}
    tables.hold("storage.md", "trials x schemes", "", list(TRIALS), list(names.values()), cells)


@pytest.mark.parametrize("scheme", sorted(SCHEMES))
def test_more_than_there_is_room_for_is_refused_before_it_begins(
    scheme: str, site_of: Callable[[str], Site], tmp_path: Path
) -> None:
    site = site_of(scheme)
    if site.front:
        site.front.calm()
    site.seed("room", "rows.jsonl", ROWS)
    store, path = site.open("room", "rows.jsonl")
    assert [place.read_bytes() for place in bring(store, [Entry(path, len(ROWS))], tmp_path / "enough")] == [ROWS]
    with pytest.raises(NoSpace, match=r"1,073,741,824,000 MiB are to be fetched.*scratch volume"):
        bring(store, [Entry(path, 2**50 * 1000)], tmp_path / "into")
    assert not list((tmp_path / "into").iterdir())


def test_no_path_leads_out_of_a_claim(tmp_path: Path) -> None:
    (tmp_path / "claims/data").mkdir(parents=True)
    (tmp_path / "claims/data/link").symlink_to("/etc")
    for path in ("../secret", "link/passwd", "/etc/passwd"):
        store, inside = open_store(f"pvc://data/{path}", Access(tmp_path / "claims"))
        with pytest.raises(ConfigurationInvalid, match="leads out of it"):
            store.local(inside)


def test_nothing_half_written_is_left_on_a_claim(tmp_path: Path) -> None:
    (tmp_path / "claims/data").mkdir(parents=True)
    store, _ = open_store("pvc://data", Access(tmp_path / "claims"))
    with pytest.raises(OSError, match="No such file"):
        store.put(tmp_path / "none", "a/b/new")
    assert sizes(store, "") == {}


@pytest.mark.parametrize(
    ("uri", "words"), [("ftp://b/c", "no storage is called ftp://"), ("pvc://none/x", "claim none")]
)
def test_an_address_that_names_nothing_is_refused(uri: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=words):
        open_store(uri, Access(tmp_path / "claims"))
