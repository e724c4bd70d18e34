"""The verbs. Reads are consistent (no resourceVersion), answers are raw dicts, writes are never blindly repeated."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.configuration import Configuration

from skipjack_operator import metrics

from .errors import Expired, KubeError, NotFound, TooManyRequests, Unavailable, error_of
from .kinds import LEASES, TOKEN_REVIEWS, Kind
from .pace import Pace, TokenBucket
from .transport import Answer, Transport, discover

Object = dict[str, Any]
Objects = list[Object]
Propagation = Literal["Background", "Foreground", "Orphan"]

MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
MANAGER = "skipjack"
"""Who we are in managedFields."""

PAGE_SIZE = 500
LIST_ATTEMPTS = 3

UNPACED = frozenset({LEASES})
"""Leader election paces itself, and must not lose a lease to a queue of other requests."""

REPEATABLE_CREATES = frozenset({TOKEN_REVIEWS})
"""Nothing is stored by these, so that a lost answer may be asked for again."""


class Kube:
    """A connection to the API server, shared by the whole process."""

    def __init__(self, transport: Transport, pace: Pace) -> None:
        self._transport = transport
        self._pace = pace
        self._bucket = TokenBucket(pace.qps, pace.burst)

    @classmethod
    @asynccontextmanager
    async def connect(cls, configuration: Configuration | None = None, pace: Pace | None = None) -> AsyncIterator[Kube]:
        """In a pod: its cluster; elsewhere KUBECONFIG's. Raises NoCluster."""
        pace = pace or Pace()
        transport = Transport(configuration or await discover(), pace.request_seconds)
        try:
            yield cls(transport, pace)
        finally:
            await transport.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        """The object as it is now, or None where there is none. Raises NotServed where the kind itself is unknown."""
        try:
            return await self._ask("get", kind, "GET", kind.path(namespace, name), repeatable=True)
        except NotFound:
            return None

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        label_selector: str | None = None,
        field_selector: str | None = None,
    ) -> Objects:
        """All of them, as of one moment; read in pages of PAGE_SIZE."""
        selectors = {"labelSelector": label_selector, "fieldSelector": field_selector}
        query = {name: selector for name, selector in selectors.items() if selector}
        for _ in range(LIST_ATTEMPTS - 1):
            try:
                return await self._pages(kind, namespace, query)
            except Expired:
                # The pages' snapshot was compacted away under us: half of it is worth nothing.
                continue
        return await self._pages(kind, namespace, query)

    async def create(self, kind: Kind, namespace: str | None, body: Mapping[str, Any]) -> Object:
        """Create it. Raises AlreadyExists; Unavailable when it isn't known whether it was created: observe again."""
        repeatable = kind in REPEATABLE_CREATES
        return await self._ask("create", kind, "POST", kind.path(namespace), body=body, repeatable=repeatable)

    async def delete(
        self, kind: Kind, namespace: str | None, name: str, uid: str, propagation: Propagation = "Background"
    ) -> None:
        """Delete the object of that uid; one that is gone is fine. Raises Conflict when another has its name."""
        options = {"preconditions": {"uid": uid}, "propagationPolicy": propagation}
        try:
            await self._ask("delete", kind, "DELETE", kind.path(namespace, name), body=options, repeatable=True)
        except NotFound:
            return

    async def patch(self, kind: Kind, namespace: str | None, name: str, change: Mapping[str, Any]) -> Object:
        """Merge patch. With `metadata.resourceVersion` in it, raises Conflict when the object has changed since."""
        path = kind.path(namespace, name)
        return await self._ask("patch", kind, "PATCH", path, body=change, content_type=MERGE, repeatable=True)

    async def patch_status(
        self, kind: Kind, namespace: str | None, name: str, change: Mapping[str, Any], manager: str = MANAGER
    ) -> Object:
        """Merge patch of the status; `change` holds `status` (and what it depends on in `metadata`)."""
        path = f"{kind.path(namespace, name, 'status')}?fieldManager={manager}"
        return await self._ask("patch", kind, "PATCH", path, body=change, content_type=MERGE, repeatable=True)

    async def json_patch_status(
        self, kind: Kind, namespace: str | None, name: str, steps: Objects, manager: str = MANAGER
    ) -> Object:
        """JSON patch (RFC 6902) of the status. A `test` step that fails raises Invalid, and nothing is changed."""
        path = f"{kind.path(namespace, name, 'status')}?fieldManager={manager}"
        return await self._ask("patch", kind, "PATCH", path, body=steps, content_type=JSON_PATCH, repeatable=True)

    async def ping(self) -> None:
        """Raises KubeError unless the API server says that it is ready."""
        answer = await self._send("get", "readyz", "GET", "/readyz")
        if answer.status != 200:
            raise error_of(answer.status, answer.body)

    async def _pages(self, kind: Kind, namespace: str | None, selectors: Mapping[str, str]) -> Objects:
        items: Objects = []
        query = {"limit": str(PAGE_SIZE), **selectors}
        while True:
            page = await self._ask("list", kind, "GET", f"{kind.path(namespace)}?{urlencode(query)}", repeatable=True)
            items.extend(page.get("items") or [])
            token = page["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token

    async def _ask(
        self,
        verb: str,
        kind: Kind,
        method: str,
        path: str,
        *,
        repeatable: bool,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request with its retries, bounded in time. Raises KubeError alone."""
        try:
            async with asyncio.timeout(self._pace.total_seconds):
                return await self._retrying(verb, kind, method, path, repeatable, body, content_type)
        except TimeoutError as error:
            seconds = self._pace.total_seconds
            raise Unavailable(0, f"{method} {path}: no answer from the API server within {seconds:g} s") from error

    async def _retrying(
        self, verb: str, kind: Kind, method: str, path: str, repeatable: bool, body: Any, content_type: str
    ) -> Object:
        for attempt in range(self._pace.attempts):
            if kind not in UNPACED:
                await self._bucket.acquire()
            retry_after: float | None = None
            try:
                answer = await self._send(verb, kind.plural, method, path, body, content_type)
                if answer.status < 400:
                    return _parsed(answer)
                error, retry_after = error_of(answer.status, answer.body), answer.retry_after
            except KubeError as lost:
                error = lost
            if attempt + 1 == self._pace.attempts or not _may_repeat(error, repeatable):
                raise error
            wait = self._pace.backoff_seconds(attempt, retry_after)
            if isinstance(error, TooManyRequests) and kind not in UNPACED:
                self._bucket.hold(wait)
            await asyncio.sleep(wait)
        raise AssertionError("a Pace has at least one attempt")

    async def _send(
        self, verb: str, resource: str, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Answer:
        """One request, counted. Raises Unavailable, or Unreached when it never got there."""
        began = time.monotonic()
        code = "none"
        try:
            answer = await self._transport.send(method, path, body, content_type)
            code = str(answer.status)
            return answer
        except aiohttp.ClientConnectorError as error:
            raise Unreached(0, f"{method} {path}: can't connect to the API server: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = str(error) or type(error).__name__
            raise Unavailable(0, f"{method} {path}: the connection to the API server was lost: {told}") from error
        finally:
            metrics.KUBE_REQUESTS_TOTAL.labels(verb, resource, code).inc()
            metrics.KUBE_REQUEST_DURATION_SECONDS.labels(verb, resource).observe(time.monotonic() - began)


class Unreached(Unavailable):
    """The request never left: to send it again can't do anything twice."""


def _may_repeat(error: KubeError, repeatable: bool) -> bool:
    """Whether to send again: always what was surely not done, and what can be done twice if it may have been."""
    if isinstance(error, TooManyRequests | Unreached):
        return True
    return repeatable and isinstance(error, Unavailable)


def _parsed(answer: Answer) -> Object:
    try:
        told = json.loads(answer.body)
    except ValueError as error:
        raise Unavailable(answer.status, "the API server's answer is not JSON: is a proxy in between?") from error
    if not isinstance(told, dict):
        raise Unavailable(answer.status, "the API server's answer is not an object: is a proxy in between?")
    return told
