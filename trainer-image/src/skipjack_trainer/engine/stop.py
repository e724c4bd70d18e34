"""Being asked to stop: by SIGTERM (save and leave) or by the operator (finish with what is there)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable


class Stop:
    """Two flags that the loop looks at once a step."""

    def __init__(self) -> None:
        self.leave = False
        self.finish = False
        self.work_would_be_lost = False
        """Whether a step was begun whose result isn't stored: until then, and after it, SIGTERM leaves at once, since there is nothing to save."""

    def on_sigterm(self, leave_at_once: Callable[[], None]) -> None:
        """From now on SIGTERM calls `leave_at_once`, or sets `leave` once there is work to be lost.

        A thread listens: Python runs handlers between two bytecodes of the main thread alone, and that one may wait for
        minutes in a download or for its peers.
        """
        heard, told = os.pipe()
        os.set_blocking(told, False)
        signal.set_wakeup_fd(told)
        signal.signal(signal.SIGTERM, _woken)
        threading.Thread(target=self._listen, args=(heard, leave_at_once), name="sigterm", daemon=True).start()

    def _listen(self, heard: int, leave_at_once: Callable[[], None]) -> None:
        while number := os.read(heard, 1):
            # Who has put a handler of their own in place since looks after the signal: torch's agent does, for its workers.
            if number[0] == signal.SIGTERM and signal.getsignal(signal.SIGTERM) is _woken:
                if not self.work_would_be_lost:
                    leave_at_once()
                self.leave = True


def _woken(*_: object) -> None:
    """Only there so that Python writes the signal's number for the thread that listens."""
