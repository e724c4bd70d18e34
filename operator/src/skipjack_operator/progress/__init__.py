"""Progress: from the trainers' posts to memory, to metrics and, rarely, to the status."""

from .api import PATH, ProgressAPI
from .shown import advance
from .store import Known, News, Store
from .token import Reporter, Reviewer, TokenRefused
from .writer import Writer

__all__ = ["Known", "News", "PATH", "ProgressAPI", "Reporter", "Reviewer", "Store", "TokenRefused", "Writer", "advance"]
