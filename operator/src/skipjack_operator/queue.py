"""Keys that wait to be looked at: each once, never two workers on one, errors ever later."""

from __future__ import annotations

import asyncio
import time

from skipjack_operator import metrics

from .observe import Key

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 60.0


class Queue:
    """A de-duplicating work queue for one event loop."""

    def __init__(self) -> None:
        self._ready: dict[Key, float] = {}
        self._working: dict[Key, float] = {}
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._adding: set[asyncio.Future[None]] = set()
        self._wake = asyncio.Condition()
        metrics.WORKQUEUE_LONGEST_RUNNING_SECONDS.set_function(self.longest_working_seconds)

    def longest_working_seconds(self) -> float:
        """How long the oldest key in work has been worked on; 0 when none is."""
        return time.monotonic() - min(self._working.values()) if self._working else 0.0

    def __len__(self) -> int:
        return len(self._ready)

    async def add(self, key: Key) -> None:
        """The key is looked at soon; at once again when it is being looked at."""
        metrics.WORKQUEUE_ADDS_TOTAL.inc()
        async with self._wake:
            if key in self._working:
                self._again.add(key)
            else:
                self._ready.setdefault(key, time.monotonic())
                self._wake.notify()
            metrics.WORKQUEUE_DEPTH.set(len(self._ready))

    def add_later(self, key: Key, seconds: float) -> None:
        """One timer a key: the earlier of two is kept."""
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is not None and known.when() <= loop.time() + seconds:
            return
        if known is not None:
            known.cancel()
        self._timers[key] = loop.call_later(seconds, self._due, key)

    def _due(self, key: Key) -> None:
        del self._timers[key]
        task = asyncio.ensure_future(self.add(key))
        self._adding.add(task)
        task.add_done_callback(self._adding.discard)

    async def take(self) -> Key:
        """The key that has waited longest."""
        async with self._wake:
            await self._wake.wait_for(lambda: self._ready)
            key = next(iter(self._ready))
            metrics.WORKQUEUE_QUEUE_DURATION_SECONDS.observe(time.monotonic() - self._ready.pop(key))
            metrics.WORKQUEUE_DEPTH.set(len(self._ready))
            self._working[key] = time.monotonic()
            return key

    async def done(self, key: Key) -> None:
        """It went well."""
        self._failures.pop(key, None)
        await self._release(key)

    async def failed(self, key: Key) -> None:
        """It went wrong: again after a pause that doubles."""
        count = self._failures[key] = self._failures.get(key, 0) + 1
        metrics.WORKQUEUE_RETRIES_TOTAL.inc()
        self.add_later(key, min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**count))
        await self._release(key)

    async def _release(self, key: Key) -> None:
        self._working.pop(key, None)
        if key in self._again:
            self._again.discard(key)
            await self.add(key)
