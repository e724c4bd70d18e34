"""What object stores refuse, in our words: which URI, which Secret, and what to do."""

from __future__ import annotations

import re
from typing import Protocol

from ..errors import AccessDenied, DataNotFound, NoSpace, StorageFailed, TrainerError

WORDS_MAX = 300

CODES: dict[str, tuple[type[TrainerError], str]] = {
    "NoSuchBucket": (DataNotFound, "there is no such bucket at {endpoint}: create it, or check its name and the endpoint"),
    "ContainerNotFound": (DataNotFound, "there is no such container at {endpoint}: create it, or check its name and the account"),
    "InvalidAccessKeyId": (AccessDenied, "{endpoint} doesn't know the access key id of {opened_by}: check AWS_ACCESS_KEY_ID and the endpoint"),
    "XAdminUserNotFound": (AccessDenied, "{endpoint} doesn't know the access key id of {opened_by}: check AWS_ACCESS_KEY_ID and the endpoint"),
    "SignatureDoesNotMatch": (AccessDenied, "the secret key of {opened_by} doesn't belong to its access key id: check AWS_SECRET_ACCESS_KEY"),
    "ExpiredToken": (AccessDenied, "the session token of {opened_by} has expired: put a new one there"),
    "InvalidToken": (AccessDenied, "the session token of {opened_by} is not valid: put a new one there"),
    "AuthenticationFailed": (AccessDenied, "{endpoint} refuses {opened_by}: check its key or SAS token, and this node's clock"),
    "AuthorizationFailure": (AccessDenied, "{endpoint} refuses {opened_by}: check its key or SAS token, and this node's clock"),
    "RequestTimeTooSkewed": (StorageFailed, "this node's clock and that of {endpoint} are too far apart: set the node's clock"),
    "AuthorizationHeaderMalformed": (AccessDenied, "{endpoint} serves another region{region}: put it into AWS_REGION of {opened_by}"),
    "PermanentRedirect": (AccessDenied, "the bucket is in another region{region}: put it into AWS_REGION of {opened_by}"),
    "QuotaExceeded": (NoSpace, "its quota is used up: make room or raise it"),
    "QuotaExceededException": (NoSpace, "its quota is used up: make room or raise it"),
    "XMinioStorageFull": (NoSpace, "the store is full: make room"),
    "InsufficientStorage": (NoSpace, "the store is full: make room"),
}  # fmt: skip
"""By the code in the body of the answer."""


class Named(Protocol):
    """A bucket, as messages call it."""

    @property
    def uri(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def opened_by(self) -> str: ...
    @property
    def secrets(self) -> tuple[str, ...]: ...


def status_of(error: Exception) -> int | None:
    """The HTTP status that a store answered with, None when it didn't answer."""
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found[1]) if found else None


def explained(error: Exception, bucket: Named, path: str) -> TrainerError:
    """The error in our words. It holds none of the bucket's secrets."""
    told, place = str(error), f"{bucket.uri}/{path}".rstrip("/")
    code = re.search(r"<Code>(\w+)</Code>", told)
    if code and code[1] in CODES:
        kind, words = CODES[code[1]]
        region = re.search(r"<Region>([-a-z0-9]+)</Region>|expecting '([-a-z0-9]+)'", told)
        known = f" ({region[1] or region[2]})" if region else ""
        return kind(f"{place}: {words.format(endpoint=bucket.endpoint, opened_by=bucket.opened_by, region=known)}.")
    if isinstance(error, FileNotFoundError):
        return DataNotFound(f"{place}: there is no such object at {bucket.endpoint}: check the path.")
    status = status_of(error)
    if "token request" in told:
        return AccessDenied(
            f"{place}: {bucket.opened_by} gets no token ({plain(told, bucket)}): name a Secret in spec.credentials."
        )
    if status in (401, 403):
        said = f"{status} {code[1]}" if code else str(status)
        return AccessDenied(
            f"{place}: {bucket.endpoint} refuses {bucket.opened_by} ({said}): name a Secret that may in spec.credentials, or allow it there."
        )
    if "UnknownIssuer" in told or "CaUsedAsEndEntity" in told:
        return StorageFailed(
            f"{place}: the certificate of {bucket.endpoint} is of an authority that nobody here knows: put that into the key ca.crt of its Secret."
        )
    return StorageFailed(f"{place}: {bucket.endpoint} {plain(told, bucket)}.")


def plain(told: str, bucket: Named) -> str:
    """What obstore says, on one line. It leaves out addresses that hold a token by itself; an answer may repeat a secret all the same."""
    words = " ".join(told.partition("Debug source")[0].split())
    for secret in bucket.secrets:
        words = words.replace(secret, "***")
    return f"failed: {words[:WORDS_MAX].strip().rstrip('.')}"
