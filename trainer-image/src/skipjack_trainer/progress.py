"""Telling the operator how far training is, without ever making a step wait."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

import requests
from pydantic import ValidationError

from skipjack.protocol import Answer, Sample

from .engine.stop import Stop

KEPT = 64
TIMEOUT_SECONDS = 5.0
CLOSE_SECONDS = 10.0
"""For what is left at the end: a post that hangs (TIMEOUT_SECONDS), and one more."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
LONGEST_ASKED_PAUSE_SECONDS = 300.0
"""Of a Retry-After: beyond it somebody's clock is wrong."""

TRIED_AGAIN = frozenset({401, 408, 425, 429})
"""Answers below 500 that pass: a token that was just rotated (it is read again for each post), slowness, a limit."""


class Reporter(Protocol):
    def tell(self, sample: Sample) -> None: ...

    def close(self) -> None: ...


class Silent:
    """For ranks that have nothing to tell, and runs that nobody listens to."""

    def tell(self, sample: Sample) -> None:
        return

    def close(self) -> None:
        return


class Verdict(Enum):
    """What became of a post."""

    TAKEN = auto()
    REFUSED = auto()
    """For good: the same sample would be refused again."""
    LATER = auto()


class Poster:
    """Posts samples, oldest first, from a thread of its own.

    While the operator is away the oldest are dropped, but never those that hold what the data decided; it tries again, ever
    more slowly. What the operator refuses for good is dropped and said once.
    """

    def __init__(
        self, url: str, token_path: Path, stop: Stop, first_pause_seconds: float = FIRST_PAUSE_SECONDS
    ) -> None:
        self.url, self.token_path, self.stop = f"{url.rstrip('/')}/v1/progress", token_path, stop
        self.first_pause_seconds = first_pause_seconds
        self.waiting: list[Sample] = []
        self.changed = threading.Condition()
        self.closes_at: float | None = None
        self.said: set[str | int] = set()
        self.thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self.thread.start()

    def tell(self, sample: Sample) -> None:
        with self.changed:
            self.waiting.append(sample)
            if len(self.waiting) > KEPT:
                self._drop_oldest()
            self.changed.notify()

    def close(self) -> None:
        """Delivers the newest sample, and those that must get through; waits at most CLOSE_SECONDS."""
        with self.changed:
            self.closes_at = time.monotonic() + CLOSE_SECONDS
            self.waiting = [sample for sample in self.waiting if decides(sample) or sample is self.waiting[-1]]
            self.changed.notify()
        self.thread.join(CLOSE_SECONDS)

    def _drop_oldest(self) -> None:
        oldest = next((sample for sample in self.waiting if not decides(sample)), None)
        if oldest is not None:
            self.waiting.remove(oldest)

    def _run(self) -> None:
        pause = self.first_pause_seconds
        while (sample := self._next()) is not None:
            verdict, asked_pause = self._post(sample)
            if verdict is Verdict.LATER:
                self._rest(max(pause, asked_pause))
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
                continue
            pause = self.first_pause_seconds
            with self.changed:
                self.waiting = [other for other in self.waiting if other is not sample]

    def _next(self) -> Sample | None:
        """The sample whose turn it is; None when there is no more to do, or no more time."""
        with self.changed:
            while not self.waiting and self.closes_at is None:
                self.changed.wait()
            in_time = self.closes_at is None or time.monotonic() < self.closes_at
            return self.waiting[0] if self.waiting and in_time else None

    def _rest(self, seconds: float) -> None:
        """Waits. Being closed ends a wait once, and bounds those after it: there is no time left for long ones."""
        with self.changed:
            if self.closes_at is not None:
                self.changed.wait(min(seconds, self.first_pause_seconds))
            else:
                self.changed.wait_for(lambda: self.closes_at is not None, seconds)

    def _post(self, sample: Sample) -> tuple[Verdict, float]:
        """What became of it, and how many seconds the other side asked to be left alone."""
        try:
            headers = {
                "Authorization": f"Bearer {self.token_path.read_text().strip()}",
                "Content-Type": "application/json",
            }
            body = sample.model_dump_json(exclude_none=True)
            answer = requests.post(self.url, data=body, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
        except (requests.RequestException, OSError) as error:
            self._say_once(type(error).__name__, f"progress can't be told, it is tried again: {error}")
            return Verdict.LATER, 0.0
        if answer.ok:
            self._heed(answer)
            return Verdict.TAKEN, 0.0
        told = f"{answer.status_code} {answer.text[:300]}"
        if answer.status_code in TRIED_AGAIN or answer.status_code >= requests.codes.server_error:
            self._say_once(answer.status_code, f"progress is not taken now, it is tried again: {told}")
            return Verdict.LATER, asked_seconds(answer.headers.get("Retry-After"), datetime.now(UTC))
        self._say_once(answer.status_code, f"progress of step {sample.step} was refused, it is not told again: {told}")
        return Verdict.REFUSED, 0.0

    def _heed(self, answer: requests.Response) -> None:
        try:
            if Answer.model_validate_json(answer.content).stop == "Finish":
                self.stop.finish = True
        except ValidationError as error:
            self._say_once(
                "answer", f"the operator's answer to a progress post can't be read: {error.errors()[0]['msg']}"
            )

    def _say_once(self, trouble: str | int, line: str) -> None:
        if trouble not in self.said:
            self.said.add(trouble)
            print(line, flush=True)


def decides(sample: Sample) -> bool:
    """Whether the status lacks something for good when this sample is lost."""
    return sample.resolved is not None or sample.facts is not None


def asked_seconds(retry_after: str | None, now: datetime) -> float:
    """A Retry-After header, seconds or a date, as seconds from now; 0 for none, and for nonsense."""
    if not retry_after:
        return 0.0
    try:
        seconds = float(int(retry_after))
    except ValueError:
        try:
            at = parsedate_to_datetime(retry_after)
        except ValueError:
            return 0.0
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(seconds, 0.0), LONGEST_ASKED_PAUSE_SECONDS)
