"""What the API server can answer instead of what was asked for."""

from __future__ import annotations

import json
from typing import Any


class KubeError(Exception):
    """The API server refused, or didn't answer. `status` is the HTTP status, 0 where there was none."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (HTTP {status})" if status else message)
        self.status = status
        self.message = message


class NotFound(KubeError):
    """The object isn't there."""


class NotServed(KubeError):
    """The resource itself isn't served: its CRD is absent, or was deleted. Says nothing of any object."""


class AlreadyExists(KubeError):
    """An object of that name is there."""


class Conflict(KubeError):
    """The object isn't what the caller took it for (its version or uid): observe again, never repeat blindly."""


class Expired(KubeError):
    """The continue token of a list is too old."""


class Forbidden(KubeError):
    """Not allowed: by RBAC, by admission, or by a quota."""

    @property
    def is_quota(self) -> bool:
        return "exceeded quota" in self.message


class Invalid(KubeError):
    """The object can't be accepted as it is; to repeat it is useless."""


class Unavailable(KubeError):
    """No answer, or none that says what became of the request. A write may have happened."""


class TooManyRequests(Unavailable):
    """Turned away before anything was done."""


BY_STATUS: dict[int, type[KubeError]] = {
    400: Invalid,
    403: Forbidden,
    409: Conflict,
    410: Expired,
    413: Invalid,
    422: Invalid,
    429: TooManyRequests,
    500: Unavailable,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def error_of(status: int, body: bytes) -> KubeError:
    """The error that an answer tells; its body is a meta/v1 Status, or whatever a proxy in between says."""
    told = _status_of(body)
    message = str(
        told.get("message") or body[:500].decode(errors="replace").strip() or "the API server gave no message"
    )
    if status == 404:
        # A missing object is told with its name in `details`; a missing resource in plain text, or without a name.
        named = bool((told.get("details") or {}).get("name"))
        return NotFound(status, message) if named else NotServed(status, message)
    if told.get("reason") == "AlreadyExists":
        return AlreadyExists(status, message)
    return BY_STATUS.get(status, KubeError)(status, message)


def _status_of(body: bytes) -> dict[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) and told.get("kind") == "Status" else {}
