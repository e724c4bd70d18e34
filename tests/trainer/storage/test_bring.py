"""Files that a pod needs are fetched once, whichever of its processes comes first."""

from __future__ import annotations

from pathlib import Path

from skipjack_trainer.storage import bring
from skipjack_trainer.storage.folder import Folder


class Counted(Folder):
    fetched: list[str]

    def get(self, path: str, into: Path) -> Path:
        self.fetched.append(path)
        return super().get(path, into)


def test_what_is_here_whole_is_not_fetched_again_and_what_was_cut_is(tmp_path: Path) -> None:
    store = Counted(tmp_path / "far", "a folder")
    store.fetched = []
    for name in ("a", "deep/b"):
        (store.root / name).parent.mkdir(parents=True, exist_ok=True)
        (store.root / name).write_bytes(b"0123456789")
    entries, into = store.list(), tmp_path / "near"
    places = bring(store, entries, into)
    (into / "deep/b").write_bytes(b"01234")
    assert bring(store, entries, into) == places
    assert sorted(store.fetched) == ["a", "deep/b", "deep/b"]
    assert [place.read_bytes() for place in places] == [b"0123456789"] * 2
