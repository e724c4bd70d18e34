"""How fast, how often and how long the API server is asked."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from skipjack_operator import metrics


@dataclass(frozen=True, slots=True)
class Pace:
    """Limits of the client. A stalled connection is told after `total_seconds` at the latest."""

    qps: float = 50.0
    burst: int = 100
    attempts: int = 5
    request_seconds: float = 20.0
    total_seconds: float = 60.0
    first_backoff_seconds: float = 0.1
    longest_backoff_seconds: float = 10.0

    def backoff_seconds(self, attempt: int, retry_after: float | None) -> float:
        """How long to wait after attempt number `attempt` (from 0): what the server asks for, else exponential."""
        if retry_after is not None:
            # The jitter keeps the clients that were turned away together from coming back together.
            return min(retry_after, self.longest_backoff_seconds) * random.uniform(1.0, 1.25)
        return random.uniform(0.5, 1.0) * min(self.first_backoff_seconds * 2.0**attempt, self.longest_backoff_seconds)


class TokenBucket:
    """At most `burst` requests at once, `qps` a second in the long run, in order (generic cell rate algorithm)."""

    def __init__(self, qps: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1.0 / qps
        self._tolerance = (burst - 1) * self._interval
        self._clock = clock
        self._next = 0.0
        """When the next request would be due if there were no burst."""

    def reserve(self) -> float:
        """Take a token; how many seconds to wait before using it."""
        now = self._clock()
        wait = max(0.0, self._next - self._tolerance - now)
        self._next = max(self._next, now) + self._interval
        return wait

    def hold(self, seconds: float) -> None:
        """Let nothing through for so long: the server said that it has too much to do."""
        self._next = max(self._next, self._clock() + seconds + self._tolerance)

    async def acquire(self) -> None:
        wait = self.reserve()
        if wait > 0:
            metrics.KUBE_THROTTLED_SECONDS_TOTAL.inc(wait)
            await asyncio.sleep(wait)
