"""The watches live in a thread of their own: how they end, and how what they see comes over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import kopf
import pytest

from skipjack_operator.watch import Across, WatchEnded, watch


class Woken:
    """Notes what it is told, and in which thread."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    async def job(self, body: Mapping[str, Any], deleted: bool) -> None:
        self.seen.append((threading.current_thread(), dict(body), deleted))

    async def child(self, namespace: str, job: str) -> None:
        self.seen.append((threading.current_thread(), namespace, job))

    async def catalogue(self) -> None:
        raise RuntimeError("the API server is away")


def ends(**_: Any) -> None:
    return


def breaks(**_: Any) -> None:
    raise OSError("the connection is gone")


@pytest.mark.parametrize(("end", "words"), [(ends, "by themselves"), (breaks, "the connection is gone")])
async def test_watches_that_end_end_the_operator(
    monkeypatch: pytest.MonkeyPatch, end: Callable[..., None], words: str
) -> None:
    monkeypatch.setattr(kopf, "run", end)
    with pytest.raises(WatchEnded, match=words):
        await asyncio.wait_for(watch(Woken(), ()), 10)


async def test_what_is_seen_in_the_watches_thread_is_told_in_the_operators() -> None:
    woken = Woken()
    across = Across(woken, asyncio.get_running_loop())

    async def see() -> None:
        await across.job({"metadata": {}}, True)
        await across.child("ns", "bot")

    await asyncio.to_thread(asyncio.run, see())
    here = threading.current_thread()
    assert woken.seen == [(here, {"metadata": {}}, True), (here, "ns", "bot")]


async def test_an_error_of_the_operator_comes_back_to_the_watch() -> None:
    across = Across(Woken(), asyncio.get_running_loop())
    with pytest.raises(RuntimeError, match="away"):
        await asyncio.to_thread(asyncio.run, across.catalogue())
