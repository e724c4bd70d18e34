"""Values, and where each came from."""

from __future__ import annotations

from typing import Any

OWN = "spec"
DEFAULT = "default"


class Choices:
    """Collects the origins of values as they are chosen."""

    def __init__(self) -> None:
        self.origins: dict[str, str] = {}

    def choose(self, path: str, own: Any, default: Any, origin: str = DEFAULT) -> Any:
        """The person's own value, else the default; notes which."""
        self.origins[path] = OWN if own is not None else origin
        return own if own is not None else default
