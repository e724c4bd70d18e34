"""What the data decided, as rank 0 tells it: stored before the answer, and no more than the data may decide."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from tests.builders import catalogue, spec

from skipjack.api.v1alpha1.dataset import Task
from skipjack.resolve import DataFacts, resolve_data, resolve_spec
from skipjack_operator.client import FINE_TUNE_JOBS
from skipjack_operator.progress.decided import BY_THE_DATA

from .apiserver import APIServer
from .progress_half import JOB_PATH, Operator, until_written

RESOLVED = {
    "resolved": [{"field": "hyperparameters.maxLength", "value": "512", "origin": "the data"}],
    "facts": {"rows": 300},
}


async def test_what_the_data_decided_is_stored_before_the_answer(server: APIServer, operator: Operator) -> None:
    told = server.objects[JOB_PATH]["status"]
    told["resolved"] = [{"field": "model", "value": '"x"', "origin": "spec.model"}]
    assert (await operator.post(RESOLVED, step=0))[0] == 200
    now = server.objects[JOB_PATH]["status"]
    assert [entry["field"] for entry in now["resolved"]] == ["model", "hyperparameters.maxLength"]
    assert now["facts"] == {"rows": 300}
    assert (await operator.post(RESOLVED, step=0))[0] == 200
    assert len(server.objects[JOB_PATH]["status"]["resolved"]) == 2


async def test_a_pod_can_not_choose_where_the_next_attempt_runs(server: APIServer, operator: Operator) -> None:
    decided = [{"field": "compute.nodes", "value": "1", "origin": "default"}]
    server.objects[JOB_PATH]["status"]["resolved"] = decided
    forged = [{"field": f, "value": "9", "origin": "me"} for f in ("compute.nodes", "output.uri", "task")]
    assert (await operator.post(resolved=forged))[0] == 200
    assert server.objects[JOB_PATH]["status"]["resolved"] == [*decided, forged[2]]


COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("before", "told", "is_kept"),
    [
        ("hf://org/model", f"hf://org/model@{COMMIT}", True),
        ("hf://org/model@main", f"hf://org/model@{COMMIT}", True),
        ("hf://org/model", f"hf://other/model@{COMMIT}", False),
        ("hf://org/model", "hf://org/model@main", False),
        ("hf://org/model", "pvc://claim/model", False),
        (f"hf://org/model@{'f' * 40}", f"hf://org/model@{COMMIT}", False),
        ("pvc://claim/model", f"hf://org/model@{COMMIT}", False),
    ],
)
async def test_a_pod_may_pin_the_model_that_was_asked_for_and_no_other(
    server: APIServer, operator: Operator, before: str, told: str, is_kept: bool
) -> None:
    own = [{"field": "model.uri", "value": json.dumps(before), "origin": "spec"}]
    server.objects[JOB_PATH]["status"]["resolved"] = own
    pinned = [{"field": "model.uri", "value": json.dumps(told), "origin": "the commit that was read first"}]
    assert (await operator.post(resolved=pinned))[0] == 200
    assert server.objects[JOB_PATH]["status"]["resolved"] == (pinned if is_kept else own)


def test_everything_that_the_data_decides_can_be_told() -> None:
    open_spec = resolve_spec(spec(), "bot", "ns", "u", catalogue())
    facts = DataFacts(Task.CHAT, 300, 30, 700, 90_000, 2048, model_can_pack=False)
    decided = resolve_data(open_spec, facts)
    before = {value.field: value.value for value in open_spec.told()}
    assert {v.field for v in decided.told() if before.get(v.field) != v.value} <= BY_THE_DATA


async def test_what_the_data_decided_survives_a_conflict(server: APIServer, operator: Operator) -> None:
    await operator.post(step=0)
    await until_written(server, step=0)

    async def somebody_writes_between(_: Any) -> None:
        server.add(FINE_TUNE_JOBS, "ns", "bot", **copy.deepcopy(_bodies(server)))

    async def passes(_: Any) -> None:
        return None

    server.faults.extend([passes, somebody_writes_between])
    assert (await operator.post(RESOLVED, step=0))[0] == 200
    assert server.objects[JOB_PATH]["status"]["facts"] == {"rows": 300}


def _bodies(server: APIServer) -> dict[str, Any]:
    now = server.objects[JOB_PATH]
    return {"metadata": {"uid": now["metadata"]["uid"]}, "spec": now["spec"], "status": now["status"]}


async def test_what_could_not_be_stored_is_asked_for_again(server: APIServer, operator: Operator) -> None:
    await operator.post(step=0)
    await until_written(server, step=0)
    server.away = True
    assert (await operator.post(RESOLVED, step=0))[0] == 503
    server.away = False
    assert (await operator.post(RESOLVED, step=0))[0] == 200
    assert server.objects[JOB_PATH]["status"]["facts"] == {"rows": 300}
