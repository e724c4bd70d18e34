"""A small API server over real HTTP, in memory, that can be told to fail as a real one does on a bad day."""

from __future__ import annotations

import asyncio
import copy
import json
import uuid
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import reduce
from typing import Any

from aiohttp import web
from kubernetes.aio.client.configuration import Configuration

from skipjack_operator.client import Kind, Kube, Pace

Object = dict[str, Any]
Fault = Callable[[web.Request], Awaitable[web.StreamResponse | None]]

QUICK = Pace(qps=10_000, burst=1000, request_seconds=0.3, total_seconds=3, first_backoff_seconds=0.001)


def status(code: int, reason: str, message: str = "", name: str | None = None, **headers: str) -> web.Response:
    details = {"name": name} if name else {}
    body = {"kind": "Status", "code": code, "reason": reason, "message": message or reason, "details": details}
    return web.json_response(body, status=code, headers=headers)


def answers(response: Callable[[], web.Response]) -> Fault:
    """The request is answered so, and does nothing."""

    async def fault(_: web.Request) -> web.Response:
        return response()

    return fault


async def stalls(_: web.Request) -> web.Response:
    """Nothing comes back, the connection stays open."""
    await asyncio.sleep(3600)
    raise AssertionError


async def cuts(request: web.Request) -> web.Response:
    """The connection breaks before the request is looked at."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class APIServer:
    """Objects by path; `faults` are used up by the requests that come, `does_then_cuts` acts first."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.faults: deque[Fault] = deque()
        self.requests: Counter[str] = Counter()
        self.log: list[tuple[str, str, Any]] = []
        self.reviews: dict[str, Object] = {}
        self.away = False
        self.url = ""
        self._version = 100

    def add(self, kind: Kind, namespace: str | None, name: str, /, **fields: Any) -> Object:
        metadata = {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": "2026-01-01T00:00:00Z"}
        metadata |= {"namespace": namespace} if namespace else {}
        metadata |= fields.pop("metadata", {})
        return self._store(kind.path(namespace, name), {"metadata": metadata, **fields})

    async def does_then_cuts(self, request: web.Request) -> web.StreamResponse:
        """The request is done, its answer is lost."""
        await self._act(request, await request.text())
        return await cuts(request)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[APIServer]:
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def connect(self, pace: Pace = QUICK) -> AsyncIterator[Kube]:
        async with Kube.connect(Configuration(host=self.url), pace) as kube:
            yield kube

    def count(self, verb: str) -> int:
        return sum(n for key, n in self.requests.items() if key.startswith(verb + " "))

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.requests[f"{request.method} {request.path}"] += 1
        self.log.append((request.method, request.path_qs, json.loads(text) if text else None))
        if self.away:
            return await cuts(request)
        if self.faults:
            response = await self.faults.popleft()(request)
            if response is not None:
                return response
        return await self._act(request, text)

    async def _act(self, request: web.Request, text: str) -> web.Response:
        body = json.loads(text) if text else None
        path = request.path.removesuffix("/status")
        if path == "/readyz":
            return web.Response(text="ok")
        if path.endswith("/tokenreviews"):
            return web.json_response({"status": self.reviews.get(body["spec"]["token"], {"authenticated": False})})
        if request.method == "POST":
            return self._create(path, body)
        if request.method == "GET" and path not in self.objects and path.rsplit("/", 1)[1].endswith("s"):
            return self._list(path, request)
        found = self.objects.get(path)
        if found is None:
            return status(404, "NotFound", name=path.rsplit("/", 1)[1])
        if request.method == "GET":
            return web.json_response(found)
        if request.method == "DELETE":
            return self._delete(path, found, body)
        return self._patch(path, found, body, request.content_type)

    def _create(self, path: str, body: Object) -> web.Response:
        path = f"{path}/{body['metadata']['name']}"
        if path in self.objects:
            return status(409, "AlreadyExists", name=body["metadata"]["name"])
        body["metadata"].setdefault("uid", str(uuid.uuid4()))
        return web.json_response(self._store(path, body), status=201)

    def _list(self, path: str, request: web.Request) -> web.Response:
        items = [o for p, o in sorted(self.objects.items()) if p.rsplit("/", 1)[0] == path]
        for label, is_value, value in _terms(request, "labelSelector"):
            labels = [o["metadata"].get("labels", {}) for o in items]
            items = [
                o
                for o, has in zip(items, labels, strict=True)
                if (has.get(label) == value if is_value else label in has)
            ]
        for field, _, value in _terms(request, "fieldSelector"):
            items = [o for o in items if reduce(lambda at, key: at.get(key, {}), field.split("."), o) == value]
        start, limit = int(request.query.get("continue", 0)), int(request.query.get("limit", 500))
        more = {"continue": str(start + limit)} if start + limit < len(items) else {}
        return web.json_response({"metadata": more, "items": items[start : start + limit]})

    def _delete(self, path: str, found: Object, options: Object) -> web.Response:
        if options["preconditions"]["uid"] != found["metadata"]["uid"]:
            return status(409, "Conflict", name=found["metadata"]["name"])
        del self.objects[path]
        return web.json_response({"kind": "Status", "status": "Success"})

    def _patch(self, path: str, found: Object, change: Any, content_type: str) -> web.Response:
        now = copy.deepcopy(found)
        if content_type == "application/json-patch+json":
            for step in change:
                *parents, last = step["path"].strip("/").split("/")
                target = now
                for key in parents:
                    target = target[key]
                if step["op"] == "test" and target.get(last) != step["value"]:
                    return status(422, "Invalid", "the test failed")
                target[last] = step["value"]
        else:
            version = change.get("metadata", {}).get("resourceVersion")
            if version not in (None, found["metadata"]["resourceVersion"]):
                return status(409, "Conflict", name=found["metadata"]["name"])
            _merge(now, change)
        return web.json_response(self._store(path, now))

    def _store(self, path: str, body: Object) -> Object:
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        self.objects[path] = body
        return body


def _terms(request: web.Request, selector: str) -> list[tuple[str, str, str]]:
    return [term.partition("=") for term in request.query.get(selector, "").split(",") if term]


def _merge(target: Object, change: Object) -> None:
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            _merge(target.setdefault(key, {}), value)
        else:
            target[key] = value
