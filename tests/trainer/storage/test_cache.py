"""Models are fetched once for all jobs of a namespace; whatever happens to where they are kept, a job trains on what the hub says."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cluster.hub import server as hub
from tests.support.serving import serving
from tests.trainer import tiny

from skipjack_trainer.errors import AccessDenied, ModelNotFound, StorageFailed
from skipjack_trainer.model import fetch_model
from skipjack_trainer.storage import Access
from skipjack_trainer.storage.cache import ABANDONED_SECONDS, IN_USE_SECONDS, Cache

GIB = 2**30
LONG_AGO = time.time() - 2 * IN_USE_SECONDS


class Site:
    """A hub with the model org/base, a cache that its pods share, and what was asked of the hub."""

    def __init__(self, root: Path) -> None:
        self.root, self.cache = root, root / "cache"
        self.repo = root / "hub/models/org/base"
        self.asked: list[str] = []
        tiny.model().save_pretrained(self.repo)
        self.weights = (self.repo / "model.safetensors").read_bytes()
        self.digest = hashlib.sha256(self.weights).hexdigest()
        self.said: list[str] = []

    @property
    def kept(self) -> Path:
        return self.cache / self.digest

    def access(self, name: str, token: str | None = None, max_bytes: int = GIB) -> Access:
        """Of a pod by that name."""
        secrets = {}
        if token:
            place = self.root / f"credentials/{name}/token"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(token)
            secrets = {"hf://": name}
        return Access(
            credentials=self.root / "credentials",
            scratch=self.root / name,
            secrets=secrets,
            models=self.cache,
            models_bytes=max_bytes,
        )

    def fetch(self, name: str, **access: Any) -> bool:
        """What a pod by that name ends up with is whole. Whether it fetched the weights."""
        self.asked.clear()
        folder, _ = fetch_model(tiny.resolved(model="hf://org/base"), self.access(name, **access), self.said.append)
        assert (folder / "model.safetensors").read_bytes() == self.weights
        assert {"config.json", "generation_config.json"} <= {file.name for file in folder.iterdir()}
        return "model.safetensors" in self.asked

    def cache_of(self, max_bytes: int = GIB) -> Cache:
        self.cache.mkdir(exist_ok=True)
        return Cache(self.cache, max_bytes, self.said.append)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path)
    server = hub.serve(tmp_path / "hub", "127.0.0.1", 0)

    class Heard(server.RequestHandlerClass):  # type: ignore[misc, name-defined]
        def file(self, repo: Path, name: str) -> None:
            if self.command == "GET":
                made.asked.append(name)
            super().file(repo, name)

    server.RequestHandlerClass = Heard
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield made


def forked(work: Callable[[], object]) -> int:
    """The process that does it; it ends with 0 if that went well."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 -- nothing may unwind into the test that was forked
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_weights_are_fetched_once_and_what_tells_access_each_time(site: Site) -> None:
    assert site.fetch("first")
    assert not site.fetch("second")
    assert "config.json" in site.asked
    assert [file.name for file in site.cache.iterdir()] == [site.digest]
    assert site.said == ["model cache: model.safetensors was kept"]


def test_a_second_process_of_a_pod_takes_what_the_first_has_brought(site: Site) -> None:
    site.fetch("pod")
    site.kept.unlink()
    assert not site.fetch("pod")
    assert not site.kept.exists()


def test_two_processes_that_fill_it_at_once_both_get_a_whole_model(site: Site) -> None:
    for number in range(3):
        pids = [forked(lambda name=f"{number}-{pod}": site.fetch(name)) for pod in range(2)]  # type: ignore[misc]
        assert [ended(pid) for pid in pids] == [0, 0]
        assert [file.name for file in site.cache.iterdir()] == [site.digest]
        assert site.kept.read_bytes() == site.weights
        site.kept.unlink()


def test_what_was_half_written_by_one_that_was_killed_is_never_taken_and_is_cleared_away(site: Site) -> None:
    cache, pipe = site.cache_of(), site.root / "pipe"
    os.mkfifo(pipe)
    pid = forked(lambda: cache.keep(site.digest, pipe))
    with pipe.open("wb") as half:
        half.write(site.weights[: len(site.weights) // 2])
        half.flush()
        while not list(site.cache.iterdir()):
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL
    (part,) = site.cache.iterdir()
    assert site.fetch("next"), "nothing was there to be taken"
    assert part.exists(), "its owner could still be writing"
    long_ago = time.time() - 2 * ABANDONED_SECONDS
    os.utime(part, (long_ago, long_ago))
    assert cache.make_room(1)
    assert [file.name for file in site.cache.iterdir()] == [site.digest]


@pytest.mark.parametrize("fault", ["a bit", "cut", "another file"])
def test_what_is_damaged_or_was_put_there_by_somebody_else_is_found_and_fetched_again(fault: str, site: Site) -> None:
    site.fetch("first")
    content = bytearray(site.weights)
    content[len(content) // 2] ^= 1
    site.kept.write_bytes({"a bit": bytes(content), "cut": site.weights[:-1], "another file": b"evil"}[fault])
    assert site.fetch("second")
    assert "model cache: model.safetensors was damaged; it is fetched" in site.said
    assert site.kept.read_bytes() == site.weights
    assert not site.fetch("third")


def test_what_comes_from_the_hub_damaged_is_not_trained_on(site: Site) -> None:
    file = site.root / "model.safetensors"
    file.write_bytes(b"not what the hub tells")
    with pytest.raises(StorageFailed, match=r"model\.safetensors: what was fetched has not the SHA-256"):
        site.cache_of().keep(site.digest, file)
    assert not file.exists()
    assert list(site.cache.iterdir()) == []


def test_what_was_used_least_recently_makes_room_and_what_is_in_use_stays(site: Site) -> None:
    site.cache.mkdir()
    sizes = {"a" * 64: 300, "b" * 64: 300, "c" * 64: 300}
    for number, (name, size) in enumerate(sizes.items()):
        (site.cache / name).write_bytes(b"x" * size)
        os.utime(site.cache / name, (LONG_AGO + number, LONG_AGO + number))
    (site.cache / "somebody's own").write_bytes(b"x" * 50)
    cache = site.cache_of(max_bytes=1000)
    target = site.root / "taken"
    assert not cache.take("a" * 64, target), "it isn't what it is called"
    (site.cache / ("a" * 64)).write_bytes(b"x" * 300)  # in use since
    assert cache.make_room(300)
    assert {file.name[0] for file in site.cache.iterdir()} == {"a", "c", "s"}
    assert not cache.make_room(900), "what is in use is never removed"
    assert {file.name[0] for file in site.cache.iterdir()} == {"a", "s"}


def test_taking_a_file_is_using_it(site: Site) -> None:
    site.fetch("first")
    os.utime(site.kept, (LONG_AGO, LONG_AGO))
    site.fetch("second")
    assert site.kept.stat().st_mtime > time.time() - IN_USE_SECONDS


def test_a_model_beyond_its_size_is_fetched_and_that_it_is_not_kept_is_said(site: Site) -> None:
    assert site.fetch("first", max_bytes=1000)
    assert site.said == ["model cache: there is no room for model.safetensors in 1000 bytes; it is not kept"]
    assert list(site.cache.iterdir()) == []


def test_a_cache_that_cant_be_used_fails_no_job(site: Site) -> None:
    site.cache.write_text("a file, where a folder should be")
    assert site.fetch("first")
    assert any("is not kept" in line for line in site.said)


def test_a_disk_that_is_full_half_way_leaves_nothing_behind(site: Site) -> None:
    cache, file = site.cache_of(), site.repo / "model.safetensors"

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        cache.keep(site.digest, file)
        assert any("is not kept" in line for line in site.said)

    assert ended(forked(full)) == 0
    assert list(site.cache.iterdir()) == []


@pytest.mark.parametrize(("mark", "error"), [(".private", ModelNotFound), (".gated", AccessDenied)])
def test_who_may_not_read_a_model_gets_no_copy_that_others_keep(mark: str, error: type[Exception], site: Site) -> None:
    for name in (mark, ".token"):
        (site.repo / name).write_text("hf_test")
    site.fetch("first", token="hf_test")
    assert site.kept.exists()
    with pytest.raises(error):
        site.fetch("second")
    assert not (site.root / "second/model/model.safetensors").exists()
