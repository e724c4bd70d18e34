"""Whatever happens in the cluster, in whatever order: deciding never trains twice, never loses a job, and comes to rest."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.operator.world import EARLIER, LONG_AGO, NOW, job, seen

from skipjack.protocol import ATTEMPT_LABEL, ExitCode, FailureReason, Result
from skipjack_operator.decide import decide, next_status
from skipjack_operator.decide.ends import has_condition, is_over

TURNS = st.one_of(
    st.tuples(st.just("ends"), st.sampled_from([0, 1, 10, 14, 19, 20, 137, 143])),
    st.tuples(st.just("spec"), st.sampled_from([("suspend", True), ("suspend", False), ("stop", "Finish")])),
    st.tuples(st.just("spec"), st.sampled_from([("stop", "Cancel"), ("limits", {"backoffLimit": 0})])),
    st.tuples(st.just("runs"), st.none()),
    st.tuples(st.just("stuck"), st.sampled_from(["ImagePullBackOff", "CreateContainerConfigError"])),
    st.tuples(st.just("disrupted"), st.none()),
    st.tuples(st.just("deletes its Job"), st.none()),
    st.tuples(st.just("loses the claim"), st.booleans()),
)


class World:
    """A cluster that does at once and without fail what is decided."""

    def __init__(self) -> None:
        self.own = job()
        self.jobs: dict[str, dict[str, Any]] = {}
        self.pods: list[dict[str, Any]] = []
        self.claims: dict[str, Any] = {"models": {"spec": {"accessModes": ["ReadWriteOnce"]}}}
        self.created: list[str] = []

    def look(self) -> Any:
        # Pauses are long over: what is to come after them comes now.
        return seen(
            self.own, tuple(self.jobs.values()), tuple(self.pods), claims=self.claims, now=NOW + timedelta(days=1)
        )

    def step(self) -> bool:
        """Decides once and does it; whether anything changed."""
        look = self.look()
        decision = decide(look)
        change = next_status(look, decision)
        for child in decision.create:
            name = child["metadata"]["name"]
            assert not [j for j in self.jobs.values() if not is_over(j)], "two attempts would be alive"
            assert name not in self.jobs
            meta = child["metadata"] | {"uid": f"uid-{len(self.created)}", "creationTimestamp": EARLIER}
            self.jobs[name] = child | {"metadata": meta, "status": {}}
            self.created.append(name)
            self.pods = []
        for child, wanted in decision.suspend:
            self.jobs[child["metadata"]["name"]]["spec"]["suspend"] = wanted
        for child in decision.delete:
            self.jobs.pop(child["metadata"]["name"])
        self.own = self.own | {"status": self.own["status"] | change}
        return bool(change or decision.create or decision.delete or decision.suspend)

    def rest(self) -> None:
        for _ in range(10):
            if not self.step():
                return
        raise AssertionError("it never comes to rest")

    def newest(self) -> dict[str, Any] | None:
        return max(self.jobs.values(), key=lambda j: int(j["metadata"]["labels"][ATTEMPT_LABEL]), default=None)

    def turn(self, what: str, how: Any) -> None:
        newest = self.newest()
        if what == "spec":
            field, value = how
            if not (field == "stop" and "stop" in self.own["spec"]):
                self.own["spec"] = self.own["spec"] | {field: value}
        elif what == "loses the claim":
            self.claims = {} if how else {"models": {"spec": {"accessModes": ["ReadWriteOnce"]}}}
        elif newest is None or is_over(newest) or newest["spec"].get("suspend"):
            return
        elif what == "deletes its Job":
            self.jobs.pop(newest["metadata"]["name"])
        elif what == "runs":
            self.pods = [_pod("Running", {"running": {}})]
        elif what == "stuck":
            self.pods = [_pod("Pending", {"waiting": {"reason": how}})]
        elif what == "disrupted":
            taken = [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}]
            self.pods = [_pod("Failed", {"terminated": {"exitCode": 143}}, conditions=taken)]
            newest["status"] = _over("Failed")
        else:
            code = ExitCode(how) if how in set(ExitCode) else None
            result = Result(reason=code.reason if code else None, output_uri="pvc://models/result")
            self.pods = [_pod("Failed", {"terminated": {"exitCode": how, "message": result.encode() if code else ""}})]
            newest["status"] = _over("Complete" if how == 0 else "Failed")


def _over(kind: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": LONG_AGO}]}


def _pod(phase: str, state: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "bot-0", "creationTimestamp": LONG_AGO},
        "spec": {"containers": [{"resources": {"limits": {"memory": "4Gi"}}}]},
        "status": {"phase": phase, "containerStatuses": [{"state": state}]} | status,
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(TURNS, max_size=14))
def test_deciding_never_trains_twice_never_loses_a_job_and_comes_to_rest(turns: list[tuple[str, Any]]) -> None:
    world = World()
    world.rest()
    for what, how in turns:
        ended = has_condition(world.own, "Complete", "Failed")
        attempts = len(world.created)
        world.turn(what, how)
        world.rest()
        if ended:
            assert has_condition(world.own, "Complete", "Failed") == ended, "what has ended stays so"
            assert len(world.created) == attempts, "what has ended is never trained again"
        conditions = {c["type"]: c for c in world.own["status"]["conditions"]}
        assert all(c["message"] and c["reason"] for c in conditions.values()), "every state is told"
        alive = [j for j in world.jobs.values() if not is_over(j)]
        if has_condition(world.own, "Complete", "Failed"):
            assert not alive, "nothing runs on"
        elif world.claims and not world.own["spec"].get("suspend"):
            assert alive, f"the job is lost: {conditions}"
    charged = (world.own["status"].get("attempt") or {}).get("charged", 0)
    assert charged <= 3, "the limit holds"


def test_every_reason_of_a_failure_is_one_that_the_trainer_or_the_operator_can_tell() -> None:
    told_by_the_trainer = {code.reason for code in ExitCode if code is not ExitCode.OK}
    told_by_the_operator = {
        FailureReason.DISRUPTED,
        FailureReason.CANCELLED,
        FailureReason.IMAGE_UNAVAILABLE,
        FailureReason.POD_UNSTARTABLE,
    }
    assert told_by_the_trainer | told_by_the_operator == set(FailureReason)
