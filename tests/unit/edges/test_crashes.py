"""The operator dies before and after every write of a job's life: what comes out is what comes out without a crash."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from skipjack.protocol import ExitCode, Result
from skipjack_operator import metrics
from skipjack_operator.client import (
    FINE_TUNE_JOBS,
    JOBS,
    NODE_TYPES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    KubeError,
    Pace,
)
from skipjack_operator.decide.ends import is_over
from skipjack_operator.events import Events
from skipjack_operator.manifests import PodEnvironment
from skipjack_operator.progress import Store
from skipjack_operator.reconcile import Reconciler

from .apiserver import APIServer, cuts

KEY = ("ns", "bot")
SITE = PodEnvironment(image="trainer:1", progress_url="http://operator:8080")
NO_RETRIES = Pace(qps=10_000, burst=1000, attempts=1)
SPEC = {
    "model": "hf://org/model",
    "dataset": {"train": [{"uri": "configmap://data/train.jsonl"}]},
    "output": {"uri": "pvc://models/result"},
    "limits": {"backoffLimit": 1},
}
RESULT = Result(output_uri="pvc://models/result", output_digest="sha256:1")
LONG_AGO = "2026-01-01T00:00:00Z"


@dataclass
class World:
    """The cluster around the operator: what the Job controller and the kubelet would do."""

    server: APIServer
    created: list[str] = field(default_factory=list)

    def newest(self) -> dict[str, Any]:
        jobs = [o for path, o in self.server.objects.items() if path.startswith(JOBS.path("ns") + "/")]
        return max(jobs, key=lambda job: job["metadata"]["name"])

    def pod(self, state: dict[str, Any], phase: str) -> None:
        job = self.newest()["metadata"]
        labels = {"batch.kubernetes.io/controller-uid": job["uid"]}
        status = {"phase": phase, "containerStatuses": [{"state": state}]}
        metadata = {"labels": labels, "creationTimestamp": LONG_AGO}
        containers = [{"resources": {"limits": {"memory": "4Gi"}}}]
        self.server.add(
            PODS, "ns", f"{job['name']}-0", metadata=metadata, spec={"containers": containers}, status=status
        )

    def ends(self, code: int, result: Result | None = None) -> None:
        message = result.encode() if result else ""
        self.pod({"terminated": {"exitCode": code, "message": message}}, "Succeeded" if code == 0 else "Failed")
        kind = "Complete" if code == 0 else "Failed"
        job = self.newest()
        job["metadata"]["creationTimestamp"] = LONG_AGO
        job["status"] = {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": LONG_AGO}]}

    def asks(self, **change: Any) -> None:
        self.server.objects[FINE_TUNE_JOBS.path(*KEY)]["spec"] |= change


Turn = Callable[[World], None]
LIVES: dict[str, list[Turn]] = {
    "fails once, then completes": [
        lambda world: world.pod({"running": {}}, "Running"),
        lambda world: world.ends(ExitCode.TRAINER_ERROR),
        lambda world: world.ends(ExitCode.OK, RESULT),
    ],
    "fails until the limit": [
        lambda world: world.ends(ExitCode.TRAINER_ERROR),
        lambda world: world.ends(ExitCode.TRAINER_ERROR),
    ],
    "is taken away, then completes": [
        lambda world: world.ends(ExitCode.INTERRUPTED),
        lambda world: world.ends(ExitCode.OK, RESULT),
    ],
    "has bad data": [lambda world: world.ends(ExitCode.DATA_INVALID)],
    "never starts": [lambda world: world.pod({"waiting": {"reason": "ImagePullBackOff"}}, "Pending")],
    "is cancelled": [lambda world: world.pod({"running": {}}, "Running"), lambda world: world.asks(stop="Cancel")],
    "is suspended and goes on": [
        lambda world: world.asks(suspend=True),
        lambda world: world.asks(suspend=False),
        lambda world: world.ends(ExitCode.OK, RESULT),
    ],
}


@dataclass
class Crash:
    """Breaks off write number `at`, before or after it is done."""

    server: APIServer
    at: int
    after: bool
    writes: int = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse | None:
        self.server.faults.append(self)
        if request.method == "GET" or "/events" in request.path:
            return None
        self.writes += 1
        if self.writes != self.at:
            return None
        return await (self.server.does_then_cuts(request) if self.after else cuts(request))


async def live(turns: list[Turn], at: int = 0, after: bool = False) -> tuple[Any, int]:
    """One life: what is there at its end, and how many writes it took."""
    async with APIServer().serve() as server:
        server.add(NODE_TYPES, None, "cpu", spec={"cpu": "1", "memory": "4Gi", "precisions": ["FP32"], "default": True})
        server.add(PERSISTENT_VOLUME_CLAIMS, "ns", "models", spec={"accessModes": ["ReadWriteOnce"]})
        server.add(
            FINE_TUNE_JOBS, "ns", "bot", apiVersion=FINE_TUNE_JOBS.api_version, kind="FineTuneJob", spec=dict(SPEC)
        )
        crash = Crash(server, at, after)
        server.faults.append(crash)
        world = World(server)
        await settle(server)
        for turn in turns:
            turn(world)
            await settle(server)
        return outcome(server), crash.writes


async def settle(server: APIServer) -> None:
    """Reconciles until nothing is written any more; a crash is followed by a new process."""
    for _ in range(5):
        async with server.connect(NO_RETRIES) as kube:
            reconciler = Reconciler(kube, (), SITE, Events(kube), Store())
            with suppress(KubeError):
                for _ in range(20):
                    before = writes_of(server)
                    await reconciler.reconcile(KEY)
                    if writes_of(server) == before:
                        return
    raise AssertionError("it writes without end")


def writes_of(server: APIServer) -> int:
    return sum(verb != "GET" for verb, _, _ in server.log)


def outcome(server: APIServer) -> Any:
    status = server.objects[FINE_TUNE_JOBS.path(*KEY)]["status"]
    jobs = {o["metadata"]["name"]: is_over(o) for p, o in server.objects.items() if p.startswith(JOBS.path("ns") + "/")}
    return {
        "conditions": {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]},
        "attempt": {key: value for key, value in status["attempt"].items() if key != "jobUid"},
        "failure": status.get("failure"),
        "output": status.get("output"),
        "jobs": jobs,
    }


@pytest.mark.parametrize("life", LIVES)
async def test_a_crash_at_any_write_changes_nothing_in_the_end(life: str) -> None:
    expected, writes = await live(LIVES[life])
    assert writes >= 3
    for at in range(1, writes + 1):
        for after in (False, True):
            seen, _ = await live(LIVES[life], at, after)
            assert seen == expected, f"crashed {'after' if after else 'before'} write {at} of {writes}"


@pytest.mark.parametrize("life", LIVES)
async def test_nothing_runs_on_when_a_job_has_ended(life: str) -> None:
    seen, _ = await live(LIVES[life])
    assert all(seen["jobs"].values())
    assert [c for c in ("Complete", "Failed") if c in seen["conditions"]]


async def test_a_life_is_counted() -> None:
    counters = {
        "skipjack_retries_total": {"cause": "TrainerError"},
        "skipjack_jobs_finished_total": {"result": "Complete", "reason": "Finished"},
        "skipjack_time_to_running_seconds_count": {},
    }

    def counted() -> list[float]:
        return [metrics.REGISTRY.get_sample_value(name, labels) or 0.0 for name, labels in counters.items()]

    before = counted()
    await live(LIVES["fails once, then completes"])
    assert [after - was for was, after in zip(before, counted(), strict=True)] == [1, 1, 1]
