"""Being asked to stop: by SIGTERM (save and leave) or by the operator (finish with what is there)."""

from __future__ import annotations

import signal
from types import FrameType


class Stop:
    """Two flags that the loop looks at once a step."""

    def __init__(self) -> None:
        self.leave = False
        self.finish = False

    def on_sigterm(self) -> None:
        """From now on SIGTERM sets `leave` instead of ending the process."""
        signal.signal(signal.SIGTERM, self._leave)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        self.leave = True
