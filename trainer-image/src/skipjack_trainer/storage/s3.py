"""s3://BUCKET/PATH: Amazon's S3, and what speaks its protocol at another endpoint: MinIO, Ceph, R2 …"""

from __future__ import annotations

import os
from typing import Any

from obstore.store import S3Store

from .base import Access, Located, Secret
from .objects import PATIENCE, Bucket, Objects, Patience, connected, nobody, place_of

IDENTITIES = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
"""What a cluster sets in a pod whose ServiceAccount stands for a role (IRSA, EKS Pod Identity)."""
KEYS = {
    "AWS_ACCESS_KEY_ID": "access_key_id",
    "AWS_SECRET_ACCESS_KEY": "secret_access_key",
    "AWS_SESSION_TOKEN": "session_token",
    "AWS_ENDPOINT_URL": "endpoint",
    "AWS_REGION": "region",
}
"""Key of the Secret → obstore's setting."""


def open_uri(uri: str, access: Access, patience: Patience = PATIENCE) -> Located:
    name, path = place_of(uri)
    secret = access.secret(uri)
    settings, opened_by = credentials(secret, uri) if secret else own_identity()
    endpoint = settings.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL")
    client = connected(S3Store, name, settings, endpoint, secret, patience)
    hidden = tuple(settings[key] for key in ("secret_access_key", "session_token") if key in settings)
    return Located(Objects(Bucket(client, f"s3://{name}", endpoint or "Amazon S3", opened_by, hidden)), path)


def credentials(secret: Secret, uri: str) -> tuple[dict[str, Any], str]:
    """obstore's settings by the Secret's keys, and what messages say of it. Raises AccessDenied.

    A Secret may name the endpoint alone: its buckets are public then, or open to the pod's own identity.
    """
    settings = {setting: value for key, setting in KEYS.items() if (value := secret.get(key))}
    if "access_key_id" in settings or "secret_access_key" in settings or "endpoint" not in settings:
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            secret.need(key, uri)
        return settings, f"Secret {secret.name}"
    identity, opened_by = own_identity()
    return settings | identity, opened_by


def own_identity() -> tuple[dict[str, Any], str]:
    """The role of the pod's ServiceAccount, or nobody. Never the node's own: a job has no business with it."""
    if any(name in os.environ for name in IDENTITIES):
        return {}, "the role of the pod's ServiceAccount"
    return nobody()
