"""Telling a server of a run without ever making a step wait, or a job fail."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .base import About, Away, Entry, Outcome, Refused, Tracker

BATCH = 100
"""Steps told at once."""
CLOSE_SECONDS = 10.0
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


class Following:
    """Tells one tracker, from a thread of its own.

    The run keeps its curve anyway, so that is the queue: what a tracker missed while it was away, or because a pod was lost, is
    told when it is back, and each step once. What it has not heard when the run ends is said in the log.
    """

    def __init__(
        self,
        name: str,
        tracker: Tracker,
        about: About,
        curve: list[Entry],
        say: Callable[[str], None],
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        self.name, self.tracker, self.about, self.say = name, tracker, about, say
        self.first_pause_seconds = first_pause_seconds
        self.waiting = list(curve)
        self.changed = threading.Condition()
        self.outcome: Outcome | None = None
        self.closes_at: float | None = None
        self.is_done = False
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def log(self, entry: Entry) -> None:
        with self.changed:
            if not self.is_done:
                self.waiting.append(entry)
            self.changed.notify()

    def close(self, outcome: Outcome) -> None:
        """Delivers what is left, and how it ended; waits at most CLOSE_SECONDS."""
        with self.changed:
            self.outcome, self.closes_at = outcome, time.monotonic() + CLOSE_SECONDS
            self.changed.notify()
        self.thread.join(CLOSE_SECONDS)
        with self.changed:
            if not self.is_done:
                self.say(
                    f"{self.name} was not told of {len(self.waiting)} steps and of the end: it could not be reached."
                )

    def _run(self) -> None:
        is_open, was_away, pause = False, False, self.first_pause_seconds
        while not self.is_done and self._may_go_on():
            try:
                if not is_open:
                    self._forget(self.tracker.open(self.about))
                    is_open = True
                self._deliver()
                pause = self.first_pause_seconds
            except Away as trouble:
                if not was_away:
                    self.say(f"{self.name} can't be told, it is tried again: {trouble}")
                is_open, was_away = False, True
                self._rest(pause)
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
            except Refused as trouble:
                self.say(f"{self.name} refused, it is told nothing more: {trouble}")
                self._finish()

    def _deliver(self) -> None:
        """Tells the next steps; with none left, waits for more or tells the end."""
        with self.changed:
            while not self.waiting and self.outcome is None:
                self.changed.wait()
            entries, outcome = self.waiting[:BATCH], self.outcome
        if entries:
            self.tracker.send(entries)
            self._forget(frozenset(int(entry["step"]) for entry in entries))
        elif outcome:
            self.tracker.end(outcome)
            self._finish()

    def _forget(self, steps: frozenset[int]) -> None:
        with self.changed:
            self.waiting = [entry for entry in self.waiting if int(entry["step"]) not in steps]

    def _finish(self) -> None:
        with self.changed:
            self.is_done, self.waiting = True, []

    def _may_go_on(self) -> bool:
        with self.changed:
            return self.closes_at is None or time.monotonic() < self.closes_at

    def _rest(self, seconds: float) -> None:
        """Waits. The end of the run cuts a wait short: there is no time left for long ones."""
        with self.changed:
            if self.closes_at is not None:
                self.changed.wait(min(seconds, self.first_pause_seconds))
            else:
                self.changed.wait_for(lambda: self.closes_at is not None, seconds)
