"""What the client takes for granted, asked of the real API server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from skipjack_operator.client import (
    CONFIG_MAPS,
    EVENTS,
    FINE_TUNE_JOBS,
    AlreadyExists,
    Conflict,
    Forbidden,
    Invalid,
    Kind,
    NotFound,
    NotServed,
    kube,
)
from skipjack_operator.events import Events

from .live import Live, on_the_cluster

pytestmark = pytest.mark.cluster


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with on_the_cluster() as live:
        yield live


def a_map(name: str) -> dict:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


async def test_absent_objects_and_absent_kinds_are_told_apart(live: Live) -> None:
    assert await live.kube.get(CONFIG_MAPS, live.namespace, "absent") is None
    for kind in (Kind("skipjack.dev", "v1alpha1", "nonsense", True), Kind("nonsense.dev", "v1", "things", True)):
        with pytest.raises(NotServed):
            await live.kube.get(kind, live.namespace, "absent")
        with pytest.raises(NotServed):
            await live.kube.list(kind)


async def test_each_refusal_is_its_own_error(live: Live) -> None:
    made = await live.kube.create(CONFIG_MAPS, live.namespace, a_map("a"))
    with pytest.raises(AlreadyExists):
        await live.kube.create(CONFIG_MAPS, live.namespace, a_map("a"))
    with pytest.raises(Invalid):
        await live.kube.create(CONFIG_MAPS, live.namespace, a_map("Not_A_Name"))
    with pytest.raises(NotFound):
        await live.kube.create(CONFIG_MAPS, "no-such-namespace", a_map("a"))
    stale = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"], "labels": {"a": "b"}}}
    await live.kube.patch(CONFIG_MAPS, live.namespace, "a", stale)
    with pytest.raises(Conflict):
        await live.kube.patch(CONFIG_MAPS, live.namespace, "a", stale | {"data": {"x": "y"}})


async def test_an_exceeded_quota_is_told_apart(live: Live) -> None:
    live.kubectl("create", "quota", "small", "--hard=count/configmaps=0")
    live.kubectl("wait", "--for=jsonpath={.status.hard}", "quota/small", "--timeout=30s")
    with pytest.raises(Forbidden) as quota:
        await live.kube.create(CONFIG_MAPS, live.namespace, a_map("a"))
    assert quota.value.is_quota


async def test_only_the_object_of_that_uid_is_deleted(live: Live) -> None:
    made = await live.kube.create(CONFIG_MAPS, live.namespace, a_map("a"))
    with pytest.raises(Conflict):
        await live.kube.delete(CONFIG_MAPS, live.namespace, "a", "of another")
    for _ in range(2):
        await live.kube.delete(CONFIG_MAPS, live.namespace, "a", made["metadata"]["uid"])
    assert await live.kube.get(CONFIG_MAPS, live.namespace, "a") is None


async def test_lists_are_read_in_pages(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "PAGE_SIZE", 2)
    for name in "abcde":
        await live.kube.create(CONFIG_MAPS, live.namespace, a_map(name))
    names = [m["metadata"]["name"] for m in await live.kube.list(CONFIG_MAPS, live.namespace)]
    assert [n for n in names if len(n) == 1] == list("abcde")


async def test_the_status_is_guarded_by_version_and_by_uid(live: Live) -> None:
    job = await live.job()
    where = FINE_TUNE_JOBS, live.namespace, "bot"
    with pytest.raises(Conflict):
        await live.kube.patch_status(*where, {"metadata": {"resourceVersion": "1"}, "status": {"state": "Odd"}})
    told = {"op": "add", "path": "/status/method", "value": "LoRA"}
    with pytest.raises(Invalid):
        await live.kube.json_patch_status(*where, [{"op": "test", "path": "/metadata/uid", "value": "other"}, told])
    uid = {"op": "test", "path": "/metadata/uid", "value": job["metadata"]["uid"]}
    assert (await live.kube.json_patch_status(*where, [uid, told]))["status"] == {"state": "Running", "method": "LoRA"}


async def test_an_event_is_accepted(live: Live) -> None:
    job = await live.job()
    await Events(live.kube, "operator-1").emit(job, "Warning", "Retrying", "ü" * 2000)
    (event,) = await live.kube.list(EVENTS, live.namespace)
    assert (event["reason"], event["regarding"]["uid"]) == ("Retrying", job["metadata"]["uid"])
    assert "Retrying" in live.kubectl("describe", "finetunejob", "bot")
