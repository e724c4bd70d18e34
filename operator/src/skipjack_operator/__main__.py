"""python -m skipjack_operator"""

from __future__ import annotations

import asyncio
import json
import logging
import sys

from .app import main
from .settings import Settings


class JSONLines(logging.Formatter):
    """One object a line, for whatever collects logs."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


if __name__ == "__main__":
    settings = Settings.from_environment()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JSONLines())
    logging.basicConfig(level=settings.log_level, handlers=[handler], force=True)
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It warns that in its thread it gets no signals: that is why it has one.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    asyncio.run(main(settings))
