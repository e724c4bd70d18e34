"""gs://BUCKET/PATH: Google's Cloud Storage."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

from obstore.store import GCSStore

from ..errors import AccessDenied
from .base import Access, Located, Secret
from .objects import PATIENCE, Bucket, Objects, Patience, connected, nobody, place_of

KEY = "GOOGLE_SERVICE_ACCOUNT_KEY"
IDENTITY = "GOOGLE_APPLICATION_CREDENTIALS"
"""What a pod of another cloud's cluster has by workload identity federation."""
METADATA_HOST = "metadata.google.internal"
"""There only on Google's own machines: it tells the identity of the pod's ServiceAccount."""


def open_uri(uri: str, access: Access, patience: Patience = PATIENCE) -> Located:
    name, path = place_of(uri)
    secret = access.secret(uri)
    settings, opened_by = credentials(secret, uri) if secret else own_identity()
    key = settings.get("service_account_key", "{}")
    # As emulators are reached: the key file itself says where.
    endpoint = json.loads(key).get("gcs_base_url")
    client = connected(GCSStore, name, settings, endpoint, secret, patience)
    hidden = tuple(value for value in (json.loads(key).get("private_key"),) if value)
    bucket = Bucket(client, f"gs://{name}", endpoint or "Google Cloud Storage", opened_by, hidden)
    return Located(Objects(bucket), path)


def credentials(secret: Secret, uri: str) -> tuple[dict[str, Any], str]:
    """obstore's settings by the Secret, and what messages say of it. Raises AccessDenied."""
    key = secret.need(KEY, uri)
    try:
        is_key = isinstance(json.loads(key), dict)
    except ValueError:
        is_key = False
    if not is_key:
        raise AccessDenied(
            f"{uri}: key {KEY} of Secret {secret.name} is no service account's key: it is the JSON file that Google gives."
        )
    return {"service_account_key": key}, f"Secret {secret.name}"


def own_identity() -> tuple[dict[str, Any], str]:
    """The identity of the pod's ServiceAccount, or nobody."""
    if IDENTITY in os.environ or is_on_google():
        return {}, "the identity of the pod's ServiceAccount"
    return nobody()


def is_on_google() -> bool:
    try:
        socket.getaddrinfo(METADATA_HOST, 80)
    except OSError:
        return False
    return True
