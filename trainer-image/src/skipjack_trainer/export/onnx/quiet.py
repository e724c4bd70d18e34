"""Libraries that write graphs tell of every tensor, and warn of what a person could do nothing about."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_logs(level: int) -> Iterator[None]:
    """Within it nothing up to `level` is logged, by whomever."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        yield
    finally:
        logging.disable(before)
