"""Who a registry is told that we are: out of a Secret as `kubectl create secret docker-registry` makes it, and by the registry's challenge.

The credential goes to the registry's own host, and to the realm where that host says that tokens are given out: whoever trusts a registry
with a credential trusts it with that choice. It must be https, unless the registry itself is reached without TLS.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from ..errors import AccessDenied
from .base import Secret
from .patience import TIMEOUT_SECONDS, Passing, passes

DOCKER_CONFIG = ".dockerconfigjson"
HUB_HOSTS = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})
"""What a Secret may call Docker's own registry."""


@dataclass(frozen=True, slots=True)
class Login:
    """A user of a registry. Not shown: it would stand in logs."""

    secret: str
    user: str
    password: str

    def __repr__(self) -> str:
        return f"Login({self.secret})"

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def login_of(secret: Secret | None, host: str) -> Login | None:
    """The user of the registry `host` that a Secret names. Raises AccessDenied when it names none."""
    if secret is None:
        return None
    if (config := secret.get(DOCKER_CONFIG)) is not None:
        return _of_docker_config(secret.name, config, host)
    user, password = secret.get("username"), secret.get("password")
    if user is None or password is None:
        raise AccessDenied(
            f"spec.credentials: Secret {secret.name} is missing, or has neither {DOCKER_CONFIG} nor username and password: "
            f"kubectl create secret docker-registry {secret.name} --docker-server={host} --docker-username=… --docker-password=…"
        )
    return Login(secret.name, user, password)


def _of_docker_config(name: str, config: str, host: str) -> Login:
    try:
        known: dict[str, Any] = json.loads(config)["auths"]
        found = next((told for place, told in known.items() if _host_of(place) == _host_of(host)), None)
        if found is None:
            raise AccessDenied(
                f"spec.credentials: Secret {name} has no user for {host}, it has for {', '.join(known) or 'no registry'}: add it."
            )
        if "auth" in found:
            user, _, password = base64.b64decode(found["auth"], validate=True).decode().partition(":")
        else:
            user, password = found["username"], found["password"]
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        # Not from the error: it holds what was read.
        raise AccessDenied(
            f"spec.credentials: {DOCKER_CONFIG} of Secret {name} is no docker configuration: make it by kubectl create secret docker-registry."
        ) from None
    return Login(name, user, password)


def _host_of(place: str) -> str:
    """The host that an entry of a docker configuration is for: https://index.docker.io/v1/ is one."""
    host = (urlsplit(place).netloc if "://" in place else place.partition("/")[0]).lower()
    return "docker.io" if host in HUB_HOSTS else host


def authorization(challenge: str, login: Login | None, registry: str) -> str | None:
    """What is sent to the registry at the URL `registry` after its challenge (RFC 9110, 11.6.1; distribution's token specification).

    None where there is nothing to answer with. Raises AccessDenied, Passing.
    """
    scheme, _, rest = challenge.partition(" ")
    told = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    if scheme.lower() == "basic":
        return login.basic if login else None
    if scheme.lower() != "bearer" or "realm" not in told:
        return None
    realm = told.pop("realm")
    if not realm.startswith("https://") and registry.startswith("https://"):
        raise AccessDenied(f"{registry} gives out tokens at {realm}, without TLS: nothing is sent there.")
    # Not after redirects: the realm alone is who the registry named.
    asked = {name: told[name] for name in ("service", "scope") if name in told}
    headers = {"Authorization": login.basic} if login else {}
    try:
        answer = requests.get(realm, params=asked, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        raise Passing(f"{realm} can't be asked for a token: {error}") from error
    if passes(answer.status_code):
        raise Passing(f"{realm} answered {answer.status_code}", answer.headers.get("Retry-After"))
    if answer.status_code != requests.codes.ok:
        who = f"Secret {login.secret}" if login else "strangers"
        raise AccessDenied(
            f"{realm} gives no token to {who} ({answer.status_code}): check the Secret in spec.credentials."
        )
    given = answer.json()
    return f"Bearer {given.get('token') or given['access_token']}"
