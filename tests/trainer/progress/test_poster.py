"""Progress posts against operators that refuse, vanish, limit and lie."""

from __future__ import annotations

import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.trainer.operators import TAKEN, Operator, Reply, operator
from tests.trainer.ports import free_port

from skipjack.protocol import ResolvedValue, Sample
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.progress import CLOSE_SECONDS, KEPT, Poster, asked_seconds

DECIDED = [ResolvedValue(field="task", value='"Chat"', origin="told by the data")]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    place = tmp_path / "token"
    place.write_text("first\n")
    return place


def poster(url: str, token: Path, stop: Stop | None = None) -> Poster:
    return Poster(url, token, stop or Stop(), first_pause_seconds=0.02)


def step(number: int) -> Sample:
    return Sample(attempt=1, step=number, steps=1000, epoch=0.0)


FIRST = step(0).model_copy(update={"resolved": DECIDED, "facts": {"trainRows": 3}})


@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_a_refused_sample_blocks_none_of_those_after_it_and_is_told_once(
    status: int, token: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with operator(lambda sample: (status, {}, b"no: field") if sample.step < 2 else TAKEN) as seen:
        posts = poster(seen.url, token)
        for sample in (FIRST, step(1), step(2)):
            posts.tell(sample)
        seen.waits_for(lambda: seen.steps_taken() == [2])
        posts.close()
        assert [sample.step for sample, _, _ in seen.posts] == [0, 1, 2]
    assert capfd.readouterr().out.count(f"refused, it is not told again: {status} no: field") == 1


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
def test_what_passes_is_tried_again_until_it_is_taken(status: int, token: Path) -> None:
    left = [status] * 3

    def reply(sample: Sample) -> Reply:
        return (left.pop(), {}, b"") if left else TAKEN

    with operator(reply) as seen:
        posts = poster(seen.url, token)
        posts.tell(FIRST)
        seen.waits_for(lambda: seen.steps_taken() == [0])
        posts.tell(step(1))
        posts.close()
        assert seen.steps_taken() == [0, 1]
        assert seen.taken[0] == FIRST


def test_a_rotated_token_is_read_again(token: Path) -> None:
    def reply(sample: Sample) -> Reply:
        token.write_text("second\n")
        return (401, {}, b"") if seen.posts[-1][1] == "Bearer first" else TAKEN

    with operator(reply) as seen:
        posts = poster(seen.url, token)
        posts.tell(step(1))
        seen.waits_for(lambda: seen.steps_taken() == [1])
        posts.close()
        assert [bearer for _, bearer, _ in seen.posts] == ["Bearer first", "Bearer second"]


def test_it_waits_as_long_as_it_is_asked_to(token: Path) -> None:
    with operator(lambda sample: TAKEN if len(seen.posts) > 1 else (503, {"Retry-After": "1"}, b"")) as seen:
        posts = poster(seen.url, token)
        posts.tell(step(1))
        seen.waits_for(lambda: seen.steps_taken() == [1])
        posts.close()
        assert 1.0 <= seen.posts[1][2] - seen.posts[0][2] < 3.0


def test_retry_after_is_seconds_or_a_date_and_nonsense_is_none() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    date = (now + timedelta(seconds=20)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert [asked_seconds(told, now) for told in ("7", date, "soon", "nan", None, "-5")] == [7, 20, 0, 0, 0, 0]
    assert asked_seconds("99999999", now) == 300


def test_an_operator_that_was_away_gets_what_was_decided_and_the_newest_steps(token: Path) -> None:
    port = free_port()
    posts = poster(f"http://127.0.0.1:{port}", token)
    posts.tell(FIRST)
    for number in range(1, KEPT * 3):
        posts.tell(step(number))
    time.sleep(0.1)
    with operator(port=port) as seen:
        seen.waits_for(lambda: KEPT * 3 - 1 in seen.steps_taken())
        posts.close()
        assert seen.taken[0] == FIRST
        assert seen.steps_taken()[1:] == list(range(KEPT * 3 - KEPT + 1, KEPT * 3))


def test_close_delivers_what_was_decided_and_the_last_sample_alone(token: Path) -> None:
    away: list[bool] = [True]
    with operator(lambda sample: (503, {"Retry-After": "60"}, b"") if away else TAKEN) as seen:
        posts = poster(seen.url, token)
        for sample in (FIRST, step(1), step(2), step(3)):
            posts.tell(sample)
        seen.waits_for(lambda: bool(seen.posts))
        away.clear()
        begun = time.monotonic()
        posts.close()
        assert time.monotonic() - begun < 2, "it doesn't sit out the minute that it was asked to wait"
        assert seen.steps_taken() == [0, 3]


def test_close_is_bounded_when_nobody_answers(token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skipjack_trainer.progress.CLOSE_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        posts = poster(f"http://127.0.0.1:{silent.getsockname()[1]}", token)
        posts.tell(step(1))
        begun = time.monotonic()
        posts.close()
        assert time.monotonic() - begun < 1.0
    assert CLOSE_SECONDS < 120, "the pod's grace period"


def test_telling_never_waits_for_the_operator(token: Path) -> None:
    with operator(lambda sample: time.sleep(0.5) or TAKEN) as seen:
        posts = poster(seen.url, token)
        begun = time.monotonic()
        for number in range(1000):
            posts.tell(step(number))
        assert time.monotonic() - begun < 0.3
        posts.close()
        assert seen.steps_taken()[-1] == 999


@pytest.mark.parametrize(("answer", "finish"), [(b'{"stop":"Finish"}', True), (b"{}", False), (b"<html>", False)])
def test_the_answer_may_ask_to_finish(answer: bytes, finish: bool, token: Path) -> None:
    stop = Stop()
    with operator(lambda sample: (200, {}, answer)) as seen:
        posts = poster(seen.url, token, stop)
        posts.tell(step(1))
        posts.close()
        assert len(seen.posts) == 1
    assert stop.finish is finish


def test_a_token_is_never_carried_to_where_a_redirect_points(token: Path) -> None:
    with operator() as other, operator(lambda sample: (307, {"Location": other.url + "/v1/progress"}, b"")) as seen:
        posts = poster(seen.url, token)
        posts.tell(step(1))
        posts.close()
        assert isinstance(other, Operator)
        assert not other.posts
        assert len(seen.posts) == 1
