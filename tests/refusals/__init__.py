"""Objects that are refused, each by its field and with the remedy in words: by the API server and, in the same words, by the models."""

from __future__ import annotations

from .base import SMALL, Refusal, changed
from .catalogues import OF_CATALOGUES
from .jobs import OF_JOBS

REFUSALS = [*OF_JOBS, *OF_CATALOGUES]

__all__ = ["REFUSALS", "SMALL", "Refusal", "changed"]
