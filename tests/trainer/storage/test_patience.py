"""How long a server that is busy is waited for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from tests.trainer.storage.pages import page

from skipjack_trainer.errors import StorageFailed
from skipjack_trainer.storage.https import Https
from skipjack_trainer.storage.patience import Passing, Patience, told_seconds


def test_pauses_double_and_have_a_bound() -> None:
    patience = Patience(first_pause_seconds=1, longest_pause_seconds=5)
    assert [patience.pause_seconds(attempt) for attempt in range(5)] == [1, 2, 4, 5, 5]


def test_a_servers_own_wish_is_kept_up_to_the_bound() -> None:
    patience = Patience(first_pause_seconds=1, longest_pause_seconds=5)
    assert [patience.pause_seconds(4, wish) for wish in ("0", "3", "3600")] == [0, 3, 5]


def test_a_wish_may_be_a_date_and_what_is_neither_means_nothing() -> None:
    now = datetime.now(UTC)
    assert 8 < (told_seconds(format_datetime(now + timedelta(seconds=10), usegmt=True)) or 0) <= 10
    assert told_seconds(format_datetime(now - timedelta(days=1), usegmt=True)) == 0
    assert [told_seconds(wish) for wish in ("soon", "-1", "", None)] == [None] * 4


def test_what_stays_is_raised_at_once_and_what_may_pass_is_tried_so_often() -> None:
    tried: list[str] = []

    def ask(error: Exception) -> None:
        tried.append(type(error).__name__)
        raise error

    patience = Patience(tries=3, first_pause_seconds=0)
    with pytest.raises(StorageFailed, match=r"^broken$"):
        patience.ask(lambda: ask(StorageFailed("broken")))
    with pytest.raises(StorageFailed, match="busy; gave up after 3 tries"):
        patience.ask(lambda: ask(Passing("busy")))
    assert tried == ["StorageFailed", "Passing", "Passing", "Passing"]


def test_a_site_is_asked_again_when_it_said(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    with page(lambda asked: asked.reply(429, Retry_After="7")) as served, pytest.raises(StorageFailed, match="429"):
        Https(served.url, None).exists("")
    assert slept == [7, 7, 7, 7]
