"""How long is waited before a server that could not answer is asked again, and when that is given up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from ..errors import StorageFailed

T = TypeVar("T")

TIMEOUT_SECONDS = (10, 60)
"""To be connected, and between two bytes."""


class Passing(StorageFailed):
    """What the next try may not meet. `retry_after`: the server's header of that name."""

    def __init__(self, message: str, retry_after: str | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


def passes(status: int) -> bool:
    """Whether an answer of this status may be another one the next time."""
    return status >= 500 or status in (408, 425, 429)


@dataclass(frozen=True, slots=True)
class Patience:
    """So many tries that come no further; the pause doubles from the first on, unless the server says how long, which is bounded."""

    tries: int = 5
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 60.0

    def ask(self, once: Callable[[], T], reached: Callable[[], int] = lambda: 0) -> T:
        """What `once` returns, as soon as it raises Passing no more; `reached` tells how far it came: tries that come further don't
        count. Raises StorageFailed after the last try."""
        attempt, furthest = 0, reached()
        while True:
            try:
                return once()
            except Passing as error:
                if (now := reached()) > furthest:
                    attempt, furthest = 0, now
                if attempt == self.tries - 1:
                    raise StorageFailed(f"{error}; gave up after {self.tries} tries.") from error
                pause = self.pause_seconds(attempt, error.retry_after)
            attempt += 1
            time.sleep(pause)

    def pause_seconds(self, attempt: int, retry_after: str | None = None) -> float:
        """Before the try that follows `attempt`, the first of which is 0."""
        told = told_seconds(retry_after)
        return min(self.first_pause_seconds * 2**attempt if told is None else told, self.longest_pause_seconds)


def told_seconds(retry_after: str | None) -> float | None:
    """What a Retry-After means, a number of seconds or a date (RFC 9110, 10.2.3); None where it means nothing."""
    if not retry_after:
        return None
    if retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
