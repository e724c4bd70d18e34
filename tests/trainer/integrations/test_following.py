"""Trackers that are away, refuse or hang: no step waits for them, no job fails by them, and no step is told twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.support.serving import serving
from tests.trainer import tiny

from skipjack.protocol import MLFLOW_PASSWORD, MLFLOW_TOKEN, MLFLOW_USERNAME
from skipjack_trainer.integrations import following, write_files
from skipjack_trainer.integrations.base import About, Away, Ending, Entry, Outcome, Refused
from skipjack_trainer.integrations.following import Following
from skipjack_trainer.integrations.mlflow import MLflow

ABOUT = About("run", "team", "uid-1", {}, {})
COMPLETE = Outcome(Ending.COMPLETE)


def step(number: int) -> Entry:
    return {"step": number, "loss": 1.0, "tokens": 10, "seconds": 0.1}


@dataclass
class Server:
    """Keeps what it is told; `trouble` is called before it answers."""

    trouble: Callable[[str], None] = lambda call: None
    known: list[int] = field(default_factory=list)
    ended: list[Ending] = field(default_factory=list)

    def open(self, about: About) -> frozenset[int]:
        self.trouble("open")
        return frozenset(self.known)

    def send(self, entries: Sequence[Entry]) -> None:
        self.known += [int(entry["step"]) for entry in entries]
        self.trouble("send")

    def end(self, outcome: Outcome) -> None:
        self.trouble("end")
        self.ended.append(outcome.ending)


def failing(times: int, call: str, error: Exception) -> Callable[[str], None]:
    left = [error] * times

    def trouble(seen: str) -> None:
        if seen == call and left:
            raise left.pop()

    return trouble


def told(server: Server, steps: int = 5, earlier: Sequence[int] = ()) -> list[str]:
    """What the log holds of a run of so many steps."""
    lines: list[str] = []
    follows = Following("MLflow", server, ABOUT, [step(n) for n in earlier], lines.append, first_pause_seconds=0.01)
    for number in range(len(earlier) + 1, steps + 1):
        follows.log(step(number))
    follows.close(COMPLETE)
    return lines


def test_a_server_that_was_away_hears_of_every_step_when_it_is_back_and_the_log_of_it_once() -> None:
    server = Server(failing(4, "open", Away("gone fishing")))
    assert told(server) == ["MLflow can't be told, it is tried again: gone fishing"]
    assert (server.known, server.ended) == ([1, 2, 3, 4, 5], [Ending.COMPLETE])


def test_a_step_that_was_heard_though_its_answer_was_lost_is_told_once() -> None:
    server = Server(failing(1, "send", Away("the answer was lost")))
    told(server)
    assert (server.known, server.ended) == ([1, 2, 3, 4, 5], [Ending.COMPLETE])


def test_the_steps_of_earlier_attempts_that_a_server_lacks_are_told_to_it() -> None:
    server = Server(known=[1, 3])
    told(server, earlier=[1, 2, 3])
    assert server.known == [1, 3, 2, 4, 5]


def test_a_server_that_refuses_is_told_nothing_more_and_holds_up_nothing() -> None:
    server = Server(failing(9, "open", Refused("401 who are you?")))
    begun = time.monotonic()
    assert told(server) == ["MLflow refused, it is told nothing more: 401 who are you?"]
    assert time.monotonic() - begun < 2
    assert server.known == []


def test_a_server_that_hangs_delays_no_step_and_the_end_no_longer_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "CLOSE_SECONDS", 0.2)
    go_on = threading.Event()
    begun = time.monotonic()
    lines = told(Server(lambda call: go_on.wait(20) and None), steps=2000)
    assert time.monotonic() - begun < 2
    assert lines == ["MLflow was not told of 2000 steps and of the end: it could not be reached."]
    go_on.set()


@pytest.mark.parametrize(
    ("environment", "authorization"),
    [
        ({MLFLOW_TOKEN: "abc\n", MLFLOW_USERNAME: "me", MLFLOW_PASSWORD: "pw"}, "Bearer abc"),
        ({MLFLOW_USERNAME: "me", MLFLOW_PASSWORD: "pw"}, "Basic bWU6cHc="),
        ({}, None),
    ],
)
def test_an_mlflow_server_is_shown_what_the_secret_holds_and_its_no_is_final(
    environment: dict[str, str], authorization: str | None
) -> None:
    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            self.send_error(401, "who are you?")

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server), pytest.raises(Refused, match="401"):
        MLflow(f"http://127.0.0.1:{server.server_port}", environment).open(ABOUT)
    assert seen == [authorization]


def test_a_trackers_library_that_fails_costs_its_files_and_not_the_job(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    from skipjack_trainer.export.card import CARD, Story

    def fails(**_: Any) -> None:
        raise OSError("no core")

    monkeypatch.setattr(wandb, "init", fails)
    spec = tiny.resolved(integrations=[{"type": "WandB"}, {"type": "TensorBoard"}])
    (tmp_path / CARD).write_text("card")
    lines: list[str] = []
    write_files(Story(spec, [step(1)], {}, [], 1), tmp_path, tmp_path / "scratch", lines.append)
    assert lines == ["WandB's files can't be written, the output has none: OSError: no core"]
    assert [place.name for place in tmp_path.iterdir() if place.name in ("wandb", "tensorboard")] == ["tensorboard"]
