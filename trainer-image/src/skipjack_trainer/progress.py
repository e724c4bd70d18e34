"""Telling the operator how far training is, without ever making a step wait."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import Protocol

import requests

from skipjack.protocol import Answer, Sample

from .engine.stop import Stop

KEPT = 64
TIMEOUT_SECONDS = 5
LONGEST_PAUSE_SECONDS = 30.0


class Reporter(Protocol):
    def tell(self, sample: Sample) -> None: ...

    def close(self) -> None: ...


class Silent:
    """For ranks that have nothing to tell, and runs that nobody listens to."""

    def tell(self, sample: Sample) -> None:
        return

    def close(self) -> None:
        return


class Poster:
    """Posts samples from a thread of its own. When the operator is away the oldest are dropped and it tries again, ever more slowly."""

    def __init__(self, url: str, token_path: Path, stop: Stop) -> None:
        self.url, self.token_path, self.stop = f"{url.rstrip('/')}/v1/progress", token_path, stop
        self.waiting: deque[Sample] = deque(maxlen=KEPT)
        self.wake = threading.Event()
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self.thread.start()

    def tell(self, sample: Sample) -> None:
        self.waiting.append(sample)
        self.wake.set()

    def close(self) -> None:
        """Waits at most TIMEOUT_SECONDS for what is left."""
        self.closing.set()
        self.wake.set()
        self.thread.join(TIMEOUT_SECONDS)

    def _run(self) -> None:
        pause = 0.5
        while True:
            self.wake.wait()
            self.wake.clear()
            while self.waiting:
                sample = self.waiting.popleft()
                if self._post(sample):
                    pause = 0.5
                    continue
                if self.closing.is_set():
                    return
                if sample.resolved:
                    self.waiting.appendleft(sample)
                self.closing.wait(pause)
                pause = min(LONGEST_PAUSE_SECONDS, pause * 2)
            if self.closing.is_set():
                return

    def _post(self, sample: Sample) -> bool:
        try:
            headers = {
                "Authorization": f"Bearer {self.token_path.read_text().strip()}",
                "Content-Type": "application/json",
            }
            answer = requests.post(
                self.url, data=sample.model_dump_json(exclude_none=True), headers=headers, timeout=TIMEOUT_SECONDS
            )
            answer.raise_for_status()
            if Answer.model_validate_json(answer.content).stop == "Finish":
                self.stop.finish = True
        except (requests.RequestException, OSError, ValueError) as error:
            print(f"progress of step {sample.step} was not taken: {error}", flush=True)
            return False
        return True
