from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.builders import catalogue, node_type

from skipjack.api.v1alpha1.status import ConditionType
from skipjack.protocol import ExitCode, FailureReason, Result
from skipjack_operator.decide import Decision, decide, next_status

from .world import LONG_AGO, NOW, attempt, ended, job, pod, seen, told, true

NOTHING = Decision(is_final=True)


def failure(decision: Decision) -> str | None:
    said = decision.conditions.get(ConditionType.FAILED)
    return said.reason if said else None


def refusal(decision: Decision) -> str | None:
    said = decision.conditions.get(ConditionType.ACCEPTED)
    return said.reason if said and not said.status else None


def started(decision: Decision) -> list[str]:
    return [child["metadata"]["name"] for child in decision.create if child["kind"] == "Job"]


@pytest.mark.parametrize("kind", ["Complete", "Failed"])
def test_a_finished_job_is_never_trained_again(kind: str) -> None:
    assert decide(seen(job(true(kind) | told()))) == NOTHING


def test_nothing_is_made_for_a_job_that_is_being_deleted() -> None:
    assert decide(seen(job(metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}))) == NOTHING


def test_a_job_of_another_manager_is_left_to_it() -> None:
    assert decide(seen(job(managedBy="kueue.x-k8s.io/multikueue"))) == NOTHING


def test_a_new_job_gets_its_first_attempt() -> None:
    decision = decide(seen())
    assert started(decision) == ["bot-1"]
    assert decision.status["attempt"] == {"number": 1, "job": "bot-1", "charged": 0}


def test_pods_on_several_nodes_get_a_service() -> None:
    shared = {"models": {"spec": {"accessModes": ["ReadWriteMany"]}}}
    decision = decide(seen(job(compute={"nodes": 2}), claims=shared))
    assert [child["kind"] for child in decision.create] == ["Service", "Job"]


def test_pods_on_several_nodes_share_a_bucket_and_mount_no_claim_for_it() -> None:
    opened = [{"uriPrefix": "s3://", "secretName": "s3-team-a"}]
    own = job(compute={"nodes": 2}, output={"uri": "s3://models/bot"}, credentials=opened)
    _, made = decide(seen(own, claims={})).create
    volumes = made["spec"]["template"]["spec"]["volumes"]
    assert not [volume for volume in volumes if "persistentVolumeClaim" in volume]
    assert [volume["secret"]["secretName"] for volume in volumes if "secret" in volume] == ["s3-team-a"]


def test_a_claim_that_is_called_like_the_outputs_bucket_is_only_read() -> None:
    own = job(model="pvc://models/base", output={"uri": "s3://models/bot"})
    (made,) = decide(seen(own)).create
    (volume,) = [v for v in made["spec"]["template"]["spec"]["volumes"] if "persistentVolumeClaim" in v]
    assert volume["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}


@pytest.mark.parametrize(
    ("own", "changes", "reason"),
    [
        (job(name="a" * 53), {}, "NameTooLong"),
        (job(dataset={}), {}, "SpecInvalid"),
        (job(compute={"nodeType": "gpu"}), {}, "NodeTypeUnknown"),
        (job(model="phi"), {}, "BaseModelUnknown"),
        (job(), {"claims": {}}, "ClaimNotFound"),
        (job(compute={"nodes": 2}), {}, "ClaimNotShared"),
        (job(evaluation={"prompts": [str(n) * 4096 for n in range(10)] + ["x" * 4096] * 6}), {}, "SpecTooLarge"),
        (job(), {"catalogue": catalogue(node_type("a"), node_type("b"))}, "NodeTypeMissing"),
    ],
)
def test_what_cannot_run_is_refused_and_looked_at_again(own: Any, changes: Any, reason: str) -> None:
    decision = decide(seen(own, **changes))
    assert refusal(decision) == reason
    assert decision.create == ()
    assert decision.look_again_seconds


def test_an_attempt_that_runs_outlives_its_node_type() -> None:
    gone = catalogue(node_type("a"), node_type("b"))
    decision = decide(seen(job(told()), (attempt(),), (pod(),), catalogue=gone))
    assert refusal(decision) is None
    assert decision.conditions[ConditionType.RUNNING].status


def test_a_job_created_suspended_waits_without_a_job() -> None:
    decision = decide(seen(job(suspend=True)))
    assert decision.create == ()
    assert decision.conditions[ConditionType.SUSPENDED].status


def test_suspend_pauses_the_running_attempt_in_place() -> None:
    [(paused, wanted)] = decide(seen(job(told(), suspend=True), (attempt(),), (pod(),))).suspend
    assert paused["metadata"]["name"] == "bot-1"
    assert wanted


def test_resuming_goes_on_with_the_same_job() -> None:
    decision = decide(seen(job(told() | true("Suspended")), (attempt(suspend=True),)))
    assert [wanted for _, wanted in decision.suspend] == [False]
    assert decision.create == ()


def test_a_job_in_a_queue_is_the_queues_to_suspend() -> None:
    queued = attempt(labels={"kueue.x-k8s.io/queue-name": "team-a"})
    assert decide(seen(job(told(), suspend=True), (queued,))).suspend == ()


def test_a_suspended_job_starts_no_further_attempt() -> None:
    decision = decide(seen(job(told(), suspend=True), (attempt(1, "Failed"),), (ended(ExitCode.INTERRUPTED),)))
    assert decision.create == ()


def test_cancel_deletes_the_attempt_and_fails_the_job() -> None:
    decision = decide(seen(job(told(), stop="Cancel"), (attempt(),), (pod(),)))
    assert failure(decision) == "Cancelled"
    assert [child["metadata"]["name"] for child in decision.delete] == ["bot-1"]


def test_finish_before_the_first_step_has_nothing_to_export() -> None:
    assert failure(decide(seen(job(stop="Finish")))) == "Cancelled"


def test_a_completed_attempt_completes_the_job_with_its_result() -> None:
    result = Result(output_uri="pvc://models/result", output_digest="sha256:1", metrics={"loss": 0.5})
    decision = decide(seen(job(told()), (attempt(1, "Complete"),), (ended(0, result),)))
    assert decision.conditions[ConditionType.COMPLETE].status
    assert decision.status["output"] == {"uri": "pvc://models/result", "digest": "sha256:1", "metrics": {"loss": "0.5"}}


@pytest.mark.parametrize(
    "reason",
    [FailureReason.DATA_INVALID, FailureReason.MODEL_NOT_FOUND, FailureReason.OUTPUT_EXISTS, FailureReason.DIVERGED],
)
def test_what_would_fail_again_fails_the_job_at_once_in_the_trainers_words(reason: FailureReason) -> None:
    said = Result(reason=reason, message="line 3: no messages")
    decision = decide(seen(job(told()), (attempt(1, "Failed"),), (ended(ExitCode.of(reason), said),)))
    assert failure(decision) == reason
    assert decision.status["failure"]["message"] == "line 3: no messages"
    assert decision.status["failure"]["node"] == "node-1"


def test_out_of_memory_is_told_and_charged() -> None:
    decision = decide(seen(job(told()), (attempt(1, "Failed"),), (ended(137, reason="OOMKilled"),)))
    assert started(decision) == ["bot-2"]
    assert decision.status["attempt"] == {"number": 2, "job": "bot-2", "charged": 1, "lastEnd": "OutOfMemory"}


def test_a_disruption_is_never_charged() -> None:
    taken = [{"type": "DisruptionTarget", "status": "True", "message": "node drained"}]
    failed = attempt(1, "Failed", charged=3)
    decision = decide(seen(job(told()), (failed,), (ended(143, conditions=taken),)))
    assert started(decision) == ["bot-2"]
    assert decision.status["attempt"]["charged"] == 3


def test_the_backoff_limit_ends_the_job() -> None:
    own = job(told(2), limits={"backoffLimit": 1})
    assert failure(decide(seen(own, (attempt(2, "Failed", charged=1),), (ended(1),)))) == "TrainerError"


def test_a_charge_survives_a_crash_before_the_status_was_written() -> None:
    forgotten = job(told(1, charged=0), limits={"backoffLimit": 1})
    attempts = (attempt(1, "Failed"), attempt(2, "Failed", charged=1))
    assert failure(decide(seen(forgotten, attempts, (ended(1),)))) == "TrainerError"


def test_a_kill_that_nobody_explains_is_charged() -> None:
    decision = decide(seen(job(told()), (attempt(1, "Failed"),), (ended(137),)))
    assert decision.status["attempt"]["charged"] == 1


def test_a_pod_that_was_deleted_is_not_charged() -> None:
    deleted = ended(137)
    deleted["metadata"]["deletionTimestamp"] = LONG_AGO
    decision = decide(seen(job(told()), (attempt(1, "Failed"),), (deleted,)))
    assert decision.status["attempt"] == {"number": 2, "job": "bot-2", "charged": 0, "lastEnd": "Disrupted"}


def test_a_pod_that_failed_of_itself_speaks_before_one_that_was_ended_with_the_gang() -> None:
    late = ended(137)
    late["metadata"]["deletionTimestamp"] = LONG_AGO
    decision = decide(seen(job(told()), (attempt(1, "Failed"),), (late, ended(1))))
    assert decision.status["attempt"]["lastEnd"] == "TrainerError"


def test_a_disruption_right_after_the_start_is_paced() -> None:
    taken = [{"type": "DisruptionTarget", "status": "True", "message": "evicted"}]
    young = attempt(4, "Failed", created=LONG_AGO)
    just_now = seen(
        job(told(4)), (young,), (ended(143, conditions=taken),), now=NOW - timedelta(minutes=59, seconds=50)
    )
    assert decide(just_now).create == ()
    assert decide(just_now).look_again_seconds == 70
    assert started(decide(seen(job(told(4)), (young,), (ended(143, conditions=taken),)))) == ["bot-5"]


def test_jobs_of_old_attempts_are_cleared_away() -> None:
    attempts = tuple(attempt(n, "Failed") for n in range(1, 6))
    decision = decide(seen(job(told(5)), attempts, (ended(1),)))
    assert [child["metadata"]["name"] for child in decision.delete] == ["bot-1", "bot-2"]


def test_what_still_runs_of_a_finished_job_is_ended() -> None:
    decision = decide(seen(job(true("Failed") | told(2)), (attempt(1, "Failed"), attempt(2))))
    assert [child["metadata"]["name"] for child in decision.delete] == ["bot-2"]
    assert decision.conditions == {}


def test_why_no_pod_is_made_is_told_in_the_clusters_words() -> None:
    event = {"metadata": {"creationTimestamp": LONG_AGO}, "reason": "FailedCreate", "note": "exceeded quota: small"}
    decision = decide(seen(job(told()), (attempt(),), warnings=(event,)))
    said = decision.conditions[ConditionType.RUNNING]
    assert (said.reason, "exceeded quota: small" in said.message) == ("FailedCreate", True)


def test_checked_data_is_told_with_its_numbers() -> None:
    facts = {"facts": {"trainRows": 20, "validationRows": 4, "totalTokens": 900}}
    said = decide(seen(job(told() | facts), (attempt(),), (pod(),))).conditions[ConditionType.DATA_READY]
    assert said.status
    assert "20 to train on, 4 held out, 900 tokens" in said.message


def test_bad_data_is_not_ready() -> None:
    said = Result(reason=FailureReason.DATA_INVALID, message="line 3: no messages")
    before = seen(job(told()), (attempt(1, "Failed"),), (ended(ExitCode.DATA_INVALID, said),))
    change = next_status(before, decide(before))
    states = {condition["type"]: condition["status"] for condition in change["conditions"]}
    assert states["DataReady"] == "False"


def test_a_job_deleted_by_hand_is_followed_by_the_next_attempt() -> None:
    decision = decide(seen(job(told(2)), (attempt(1, "Failed"),)))
    assert started(decision) == ["bot-3"]
    assert decision.status["attempt"]["charged"] == 0


def test_a_lost_pod_is_not_waited_for_beyond_its_grace() -> None:
    lost = attempt(1, "FailureTarget")
    lost["status"]["active"] = 1
    assert started(decide(seen(job(told()), (lost,)))) == ["bot-2"]


def test_the_pod_that_failed_of_itself_speaks_before_its_peers() -> None:
    peers = (ended(ExitCode.PEER_LOST, Result(reason=FailureReason.PEER_LOST)), ended(ExitCode.NO_SPACE))
    assert failure(decide(seen(job(told()), (attempt(1, "Failed"),), peers))) == "NoSpace"


@pytest.mark.parametrize(
    ("cause", "reason"), [("ImagePullBackOff", "ImageUnavailable"), ("CreateContainerConfigError", "PodUnstartable")]
)
def test_a_pod_that_can_never_start_fails_the_job_after_its_deadline(cause: str, reason: str) -> None:
    decision = decide(seen(job(told()), (attempt(),), (pod({"waiting": {"reason": cause}}, "Pending"),)))
    assert failure(decision) == reason
    assert decision.delete


def test_a_pod_that_waited_long_for_its_node_still_gets_its_time_to_pull() -> None:
    placed = [{"type": "PodScheduled", "status": "True", "lastTransitionTime": NOW.isoformat()}]
    pulling = pod({"waiting": {"reason": "ErrImagePull"}}, "Pending", conditions=placed)
    decision = decide(seen(job(told()), (attempt(),), (pulling,)))
    assert failure(decision) is None
    assert decision.conditions[ConditionType.RUNNING].reason == "ErrImagePull"


def test_an_unschedulable_pod_is_told_and_waited_for() -> None:
    held = pod(None, "Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}])
    decision = decide(seen(job(told()), (attempt(),), (held,)))
    assert failure(decision) is None
    assert decision.conditions[ConditionType.RUNNING].reason == "Unschedulable"


def test_saying_the_same_again_writes_nothing() -> None:
    before = seen(job(told()), (attempt(),), (pod(),))
    first = next_status(before, decide(before))
    after = seen(job(told() | first), (attempt(),), (pod(),))
    assert first
    assert next_status(after, decide(after)) == {}
