"""How many jobs there are in each state. Fed by the watch, set right by every resync."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from skipjack_operator import metrics


class Census:
    """Uid → state of every job that is known."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}

    def saw(self, job: Mapping[str, Any]) -> None:
        self._put(job["metadata"]["uid"], str((job.get("status") or {}).get("state") or "Pending"))

    def gone(self, uid: str) -> None:
        self._put(uid, None)

    def recount(self, jobs: Iterable[Mapping[str, Any]]) -> None:
        """These are all: one whose deletion no watch told is no longer counted."""
        there = {job["metadata"]["uid"]: job for job in jobs}
        for uid in self._states.keys() - there.keys():
            self.gone(uid)
        for job in there.values():
            self.saw(job)

    def _put(self, uid: str, state: str | None) -> None:
        before = self._states.pop(uid, None)
        if before is not None:
            metrics.JOBS.labels(before).dec()
        if state is not None:
            self._states[uid] = state
            metrics.JOBS.labels(state).inc()
