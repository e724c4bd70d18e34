"""One request over kubernetes.aio's connection: its authentication, its TLS, its session, none of its models."""

from __future__ import annotations

import os
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    retry_after: float | None
    """Seconds, where the server said so."""


class NoCluster(Exception):
    """There is no way to an API server."""


async def discover() -> Configuration:
    """The service account's cluster inside a pod, else what KUBECONFIG (or ~/.kube/config) says. Raises NoCluster."""
    found = Configuration()
    try:
        if os.environ.get("KUBERNETES_SERVICE_HOST"):
            config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=os.environ.get("KUBECONFIG"), client_configuration=found
            )
    except config.ConfigException as error:
        raise NoCluster(f"No cluster to talk to: {error}. Run inside a pod, or set KUBECONFIG.") from error
    return found


class Transport:
    """Sends requests; knows nothing of retries."""

    def __init__(self, configuration: Configuration, request_seconds: float) -> None:
        # A proxy is what the kubeconfig names, never what the environment says: that one is for the internet.
        configuration.client_session_kwargs = {"trust_env": False}
        self._configuration = configuration
        self._rest: Any = RESTClientObject(configuration)
        self._timeout = aiohttp.ClientTimeout(
            total=request_seconds, sock_connect=min(5.0, request_seconds), sock_read=request_seconds
        )

    async def send(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Answer:
        """Raises aiohttp.ClientError and TimeoutError."""
        headers = {"Accept": "application/json", "Content-Type": content_type, "User-Agent": "skipjack-operator"}
        auth: Any = (await self._configuration.auth_settings()).get("BearerToken")
        if auth:
            headers["Authorization"] = auth["value"]
        url = self._configuration.host.rstrip("/") + path
        response = await self._rest.request(method, url, headers=headers, body=body, _request_timeout=self._timeout)
        try:
            return Answer(response.status, await response.read(), _seconds(response.headers.get("Retry-After")))
        finally:
            response.response.release()

    async def close(self) -> None:
        await self._rest.close()


def _seconds(retry_after: str | None) -> float | None:
    """Seconds of a Retry-After header; a date in it (a proxy's way) counts as one second, its clock being anyone's."""
    if retry_after is None:
        return None
    if retry_after.isdigit():
        return float(retry_after)
    try:
        parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return 1.0
