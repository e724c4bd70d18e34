"""The progress half of an operator on a real port, and what a trainer of the cluster is to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from skipjack.protocol import ATTEMPT_LABEL, TOKEN_AUDIENCE
from skipjack_operator.client import FINE_TUNE_JOBS, JOBS, PODS, Kube
from skipjack_operator.progress import PATH, ProgressAPI, Reviewer, Store, Writer
from skipjack_operator.server import serve

from .apiserver import APIServer

POD_NAME, POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
JOB_PATH = FINE_TUNE_JOBS.path("ns", "bot")


@dataclass
class Operator:
    """The progress half of an operator, on a real port."""

    store: Store
    writer: Writer
    url: str = ""
    leads: list[bool] = field(default_factory=lambda: [True])

    async def post(self, sample: Any = None, token: str | None = "good", **changes: Any) -> tuple[int, dict[str, Any]]:
        body = sample if isinstance(sample, bytes) else json.dumps((sample or {}) | SAMPLE | changes).encode()
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession() as session, session.post(self.url, data=body, headers=headers) as response:
            return response.status, await response.json()


LONG = {"field": "f" * 300, "value": "1", "origin": "o"}
SAMPLE = {"attempt": 1, "step": 4, "steps": 40, "epoch": 0.1, "loss": 2.5}


@asynccontextmanager
async def an_operator(kube: Kube, interval_seconds: float = 0.02) -> AsyncIterator[Operator]:
    store = Store()
    writer = Writer(kube, store, interval_seconds)
    operator = Operator(store, writer)
    api = ProgressAPI(kube, Reviewer(kube), store, writer, lambda: operator.leads[0])
    writing = asyncio.create_task(writer.run())
    async with serve(api.app(), 0, "127.0.0.1") as port:
        operator.url = f"http://127.0.0.1:{port}{PATH}"
        yield operator
    writing.cancel()


def owned_by(owner: dict[str, Any], api_version: str, kind: str) -> dict[str, Any]:
    metadata = owner["metadata"]
    reference = {"apiVersion": api_version, "kind": kind, "name": metadata["name"], "uid": metadata["uid"]}
    return {"ownerReferences": [reference | {"controller": True}]}


def token_of(server: APIServer, token: str, pod: dict[str, Any], **changes: Any) -> None:
    extra = {POD_NAME: [pod["metadata"]["name"]], POD_UID: [pod["metadata"]["uid"]]}
    user = {"username": "system:serviceaccount:ns:default", "extra": extra}
    server.reviews[token] = {"authenticated": True, "audiences": [TOKEN_AUDIENCE], "user": user} | changes


def a_pod(server: APIServer, job: dict[str, Any], name: str, index: str = "0", created: str = "01") -> dict[str, Any]:
    annotations = {"batch.kubernetes.io/job-completion-index": index}
    metadata = owned_by(job, "batch/v1", "Job") | {"annotations": annotations}
    return server.add(PODS, "ns", name, metadata=metadata | {"creationTimestamp": f"2026-01-01T00:00:{created}Z"})


def a_training(server: APIServer) -> dict[str, Any]:
    tuned = server.add(FINE_TUNE_JOBS, "ns", "bot", spec={}, status={"state": "Running"})
    labelled = owned_by(tuned, "skipjack.dev/v1alpha1", "FineTuneJob") | {"labels": {ATTEMPT_LABEL: "1"}}
    job = server.add(JOBS, "ns", "bot-1", metadata=labelled)
    token_of(server, "good", a_pod(server, job, "bot-1-0-x"))
    return job


def written(server: APIServer) -> dict[str, Any]:
    return server.objects[JOB_PATH]["status"].get("progress", {})


async def until_written(server: APIServer, **expected: Any) -> None:
    async with asyncio.timeout(20):
        while not expected.items() <= written(server).items():
            await asyncio.sleep(0.005)
