"""A job that starts from another: what it takes from it, when it waits, and that the other may be deleted afterwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.builders import base_model, catalogue, spec

from skipjack.api.v1alpha1.method import MethodType
from skipjack.api.v1alpha1.status import ConditionType
from skipjack.protocol import SPEC_ANNOTATION
from skipjack.resolve import ResolvedSpec, resolve_spec
from skipjack_operator.decide import Decision, decide

from .test_decide import refusal, started
from .world import attempt, ended, job, seen, true

SHARED: dict[str, Any] = {"spec": {"accessModes": ["ReadWriteMany"]}}
CLAIMS = dict.fromkeys(("models", "bases", "tuned"), SHARED)


def sft(*conditions: str, reached: int | None = None, **own: Any) -> dict[str, Any]:
    """The job that is started from: a LoRA of rank 4 on a model that lies on a claim."""
    usual: dict[str, Any] = {
        "model": "pvc://bases/llama",
        "output": {"uri": "pvc://tuned/sft"},
        "method": {"type": "LoRA", "lora": {"rank": 4}},
        "hyperparameters": {"globalBatchSize": 8, "learningRate": 1e-3},
    }
    told = resolve_spec(spec(**(usual | own)), "sft", "space", "uid-sft", catalogue()).told()
    state: dict[str, Any] = true(conditions[0]) if conditions else {}
    state |= {"resolved": [value.model_dump() for value in told], "state": conditions[0] if conditions else "Running"}
    if reached:
        state["progress"] = {"checkpointStep": reached}
    return job(state, "sft", {"uid": "uid-sft"}, **(usual | own))


def dpo(status: dict[str, Any] | None = None, start: dict[str, Any] | None = None, **own: Any) -> dict[str, Any]:
    body = job(status, startFrom={"job": "sft"} | (start or {}), **own)
    if "model" not in own:
        del body["spec"]["model"]
    return body


def decided(own: dict[str, Any], before: Any, **changes: Any) -> Decision:
    return decide(seen(own, before=before, **({"claims": CLAIMS, "catalogue": catalogue(base_model())} | changes)))


def resolved(decision: Decision) -> ResolvedSpec:
    assert decision.resolved is not None
    return decision.resolved


def words(decision: Decision) -> str:
    return decision.conditions[ConditionType.ACCEPTED].message


def test_the_job_before_gives_model_and_method_and_its_claims_are_mounted() -> None:
    decision = decided(dpo(), sft("Complete"))
    told = resolved(decision)
    assert (told.model.uri, told.method.type) == ("pvc://bases/llama", MethodType.LORA)
    assert told.method.lora is not None
    assert told.method.lora.rank == 4
    assert told.origins["model.uri"] == told.origins["method.lora.rank"] == "job sft"
    [pods] = [child["spec"]["template"]["spec"] for child in decision.create]
    mounted = {
        volume["persistentVolumeClaim"]["claimName"] for volume in pods["volumes"] if "persistentVolumeClaim" in volume
    }
    assert mounted == {"models", "bases", "tuned"}


def test_the_checkpoints_of_a_result_that_was_pushed_are_found_where_the_job_before_kept_them() -> None:
    before = sft("Complete", output={"uri": "oci://ghcr.io/org/sft:v1"}, checkpoint={"uri": "pvc://tuned/sft"})
    told = resolved(decided(dpo(), before))
    assert told.start_from is not None
    assert (told.start_from.uri, told.start_from.checkpoints) == ("oci://ghcr.io/org/sft:v1", "pvc://tuned/sft")
    kept = [value.model_dump() for value in told.told()]
    again = resolved(decided(dpo({"resolved": kept}), None))
    assert again.start_from == told.start_from, "once settled, whatever became of the job before"


def test_a_whole_model_is_taken_from_where_it_was_stored() -> None:
    assert resolved(decided(dpo(), sft("Complete", method={"type": "Full"}))).model.uri == "pvc://tuned/sft"


def test_a_job_that_has_not_ended_is_waited_for() -> None:
    decision = decided(dpo(), sft(reached=20))
    assert (refusal(decision), started(decision)) == ("StartNotReady", [])
    assert "sft has not ended (it is Running)" in words(decision)
    assert decision.look_again_seconds
    assert started(decided(dpo(), sft("Complete"))) == ["bot-1"]


def test_a_step_of_a_job_that_runs_is_not_waited_for() -> None:
    assert started(decided(dpo(start={"checkpoint": "20"}), sft(reached=20))) == ["bot-1"]


def test_a_job_that_failed_gives_its_checkpoints_and_nothing_without_any() -> None:
    assert started(decided(dpo(), sft("Failed", reached=20))) == ["bot-1"]
    assert refusal(decided(dpo(), sft("Failed"))) == "StartNotReady"


def test_once_begun_it_needs_the_other_job_no_more() -> None:
    first = decided(dpo(), sft("Complete", method={"type": "Full"}))
    status = {"resolved": first.status["resolved"], "attempt": {"number": 1, "job": "bot-1", "charged": 0}}
    pods = (ended(21),)
    later = decided(dpo(status), None, attempts=(attempt(1, "Failed"),), pods=pods)
    assert started(later) == ["bot-2"]
    [one] = [child for child in first.create if child["kind"] == "Job"]
    [two] = [child for child in later.create if child["kind"] == "Job"]
    specs = [json.loads(child["spec"]["template"]["metadata"]["annotations"][SPEC_ANNOTATION]) for child in (one, two)]
    assert specs[0] == specs[1]


@pytest.mark.parametrize(
    ("own", "before", "reason", "sentence"),
    [
        (dpo(), None, "StartNotFound", "there is no FineTuneJob sft in this namespace"),
        (dpo(start={"job": "bot"}), None, "StartNotFound", "bot is this job itself"),
        (dpo(model="hf://org/other"), sft("Complete"), "StartMismatch", "spec.model is hf://org/other, job sft was trained on pvc://bases/llama"),
        (dpo(model="phi-3-mini"), sft("Complete"), "StartMismatch", "spec.model is hf://org/phi@main, job sft was trained on pvc://bases/llama"),
        (dpo(method={"type": "DoRA"}), sft("Complete"), "StartMismatch", "spec.method.type is DoRA, job sft was trained by LoRA"),
        (dpo(method={"type": "LoRA", "lora": {"rank": 8}}), sft("Complete"), "StartMismatch", "lora.rank is 8, of job sft it is 4"),
        (dpo(method={"type": "LoRA", "lora": {"targetModules": ["q_proj"]}}), sft("Complete"), "StartMismatch", 'is ["q_proj"], of job sft it is null'),
        (dpo(output={"uri": "pvc://tuned/sft/"}), sft("Complete"), "StartReplaced", "choose another place"),
        (dpo(start={"state": "Full"}), sft("Complete"), "StartMismatch", "say how long in all, by epochs or maxSteps"),
        (
            dpo(start={"state": "Full"}, hyperparameters={"maxSteps": 9, "globalBatchSize": 4}),
            sft("Complete"),
            "StartMismatch",
            "globalBatchSize is 4, of job sft it is 8",
        ),
        (
            dpo(start={"state": "Full", "checkpoint": "Best"}, hyperparameters={"maxSteps": 9}),
            sft("Complete"),
            "StartMismatch",
            "state Full goes on from Last or from a step",
        ),
        (dpo(start={"state": "Full"}, method={"type": "Full"}, hyperparameters={"maxSteps": 9}), sft("Complete"), "StartMismatch", "is Full, job sft"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_the_job_before_is_refused_in_words(
    own: Any, before: Any, reason: str, sentence: str
) -> None:
    decision = decided(own, before)
    assert refusal(decision) == reason
    assert sentence in words(decision)
    assert decision.create == ()


def test_what_may_differ_is_the_jobs_own() -> None:
    told = resolved(decided(dpo(method={"type": "LoRA", "lora": {"dropout": 0.3}}), sft("Complete")))
    assert told.method.lora is not None
    assert (told.method.lora.dropout, told.method.lora.rank) == (0.3, 4)
    assert told.origins["method.lora.dropout"] == "spec"


def test_with_the_full_state_settings_are_those_of_the_job_before_but_how_long() -> None:
    told = resolved(decided(dpo(start={"state": "Full"}, hyperparameters={"maxSteps": 90}), sft("Complete")))
    settings = told.hyperparameters
    assert (settings.max_steps, settings.global_batch_size, settings.learning_rate) == (90, 8, 1e-3)
    assert told.origins["hyperparameters.learning_rate"] == "job sft"
    anew = resolved(decided(dpo(), sft("Complete"))).hyperparameters
    assert (anew.learning_rate, anew.global_batch_size) == (2e-4, None)


def test_a_uri_gives_the_model_when_none_is_named() -> None:
    own = job(startFrom={"uri": "pvc://tuned/adapter"})
    del own["spec"]["model"]
    told = resolved(decided(own, None))
    assert (told.model.uri, told.origins["model.uri"]) == ("pvc://tuned/adapter", "startFrom.uri")
