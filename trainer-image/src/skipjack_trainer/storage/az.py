"""az://CONTAINER/PATH: Azure's Blob Storage. The account is named by the Secret, or by AZURE_STORAGE_ACCOUNT_NAME of spec.pod.env."""

from __future__ import annotations

import os
from typing import Any

from obstore.store import AzureStore

from ..errors import AccessDenied
from .base import Access, Located, Secret
from .objects import PATIENCE, Bucket, Objects, Patience, connected, nobody, place_of

IDENTITY = "AZURE_FEDERATED_TOKEN_FILE"
"""What Azure's workload identity sets in a pod whose ServiceAccount has one."""
ACCOUNT = "AZURE_STORAGE_ACCOUNT_NAME"
KEYS = {
    ACCOUNT: "account_name",
    "AZURE_STORAGE_ACCOUNT_KEY": "account_key",
    "AZURE_STORAGE_SAS_TOKEN": "sas_key",
    "AZURE_STORAGE_ENDPOINT": "endpoint",
}
"""Key of the Secret → obstore's setting."""


def open_uri(uri: str, access: Access, patience: Patience = PATIENCE) -> Located:
    name, path = place_of(uri)
    secret = access.secret(uri)
    settings, opened_by = credentials(secret, uri) if secret else own_identity()
    account = settings.get("account_name") or os.environ.get(ACCOUNT)
    if not account:
        raise AccessDenied(
            f"{uri}: no account is named: name a Secret in spec.credentials whose key {ACCOUNT} tells it, or set that in spec.pod.env."
        )
    endpoint = settings.get("endpoint")
    client = connected(AzureStore, name, settings, endpoint, secret, patience)
    hidden = tuple(settings[key] for key in ("account_key", "sas_key") if key in settings)
    bucket = Bucket(client, f"az://{name}", endpoint or f"account {account}", opened_by, hidden)
    return Located(Objects(bucket), path)


def credentials(secret: Secret, uri: str) -> tuple[dict[str, Any], str]:
    """obstore's settings by the Secret's keys, and what messages say of it. Raises AccessDenied.

    A Secret may name the account alone: its containers are public then, or open to the pod's own identity.
    """
    secret.need(ACCOUNT, uri)
    settings = {setting: value for key, setting in KEYS.items() if (value := secret.get(key))}
    if "account_key" in settings or "sas_key" in settings:
        return settings, f"Secret {secret.name}"
    identity, opened_by = own_identity()
    return settings | identity, opened_by


def own_identity() -> tuple[dict[str, Any], str]:
    """The identity of the pod's ServiceAccount, or nobody. Never the node's own: a job has no business with it."""
    if IDENTITY in os.environ:
        return {}, "the identity of the pod's ServiceAccount"
    return nobody()
