"""The rules, in the order in which `CHAIN` asks them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pydantic import ValidationError

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.api.v1alpha1.finetunejob import Stop
from skipjack.api.v1alpha1.status import ConditionType
from skipjack.protocol import RETRYABLE, SPEC_BYTES_MAX, UNCHARGED, FailureReason, ResolvedValue
from skipjack.resolve import ResolvedSpec, SpecRefused, resolve_spec
from skipjack_operator.manifests import attempt_name, claims_of, job_manifest, service_manifest

from .ends import End, failed_at, has_condition, result_of, succeeded, why
from .types import Decision, Object, Observed, number_of
from .waits import given_up, waiting

ACCEPTED, RUNNING, SUSPENDED = ConditionType.ACCEPTED, ConditionType.RUNNING, ConditionType.SUSPENDED
COMPLETE, FAILED = ConditionType.COMPLETE, ConditionType.FAILED

NAME_MAX = 52
OURS = "skipjack.dev/operator"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
BACKOFF_LIMIT = 3
LOOK_AGAIN_SECONDS = 30.0
FIRST_PAUSE_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 300.0
GONE_AFTER = timedelta(seconds=150)
"""The grace of a pod and a margin: after it pods that still seem to run are on nodes that can't be reached, and are fenced."""


def leave_the_deleted_alone(seen: Observed, so_far: Decision) -> Decision:
    """Its Job may go before it does: nothing is ever made again for it."""
    return so_far.done() if seen.job["metadata"].get("deletionTimestamp") else so_far


def finished_is_final(seen: Observed, so_far: Decision) -> Decision:
    return so_far.done() if has_condition(seen.job, COMPLETE, FAILED) else so_far


def leave_to_its_manager(seen: Observed, so_far: Decision) -> Decision:
    return so_far.done() if seen.job["spec"].get("managedBy", OURS) != OURS else so_far


def refuse_invalid(seen: Observed, so_far: Decision) -> Decision:
    """What can't run is told with the field and the remedy, and looked at again: a catalogue or a claim may yet come."""
    metadata = seen.job["metadata"]
    try:
        if len(metadata["name"]) > NAME_MAX:
            raise SpecRefused(
                "NameTooLong",
                f"metadata.name has {len(metadata['name'])} characters, at most {NAME_MAX} make host names: choose a shorter one.",
            )
        own = FineTuneJobSpec.model_validate(seen.job["spec"])
        spec = resolve_spec(own, metadata["name"], metadata["namespace"], metadata["uid"], seen.catalogue)
        spec = spec.pinned(ResolvedValue.model_validate(value) for value in seen.status.get("resolved") or ())
        if len(spec.model_dump_json()) > SPEC_BYTES_MAX:
            raise SpecRefused(
                "SpecTooLarge",
                f"the resolved spec is larger than {SPEC_BYTES_MAX} bytes: use fewer sources and prompts.",
            )
        check_claims(seen, spec.compute.nodes, claims_of(spec))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        return refused(seen, so_far, "SpecInvalid", f"spec.{field}: {first['msg']}.")
    except SpecRefused as refusal:
        return refused(seen, so_far, refusal.reason, refusal.message)
    return replace(so_far, own=own, resolved=spec).telling(
        ACCEPTED, True, "Accepted", "The spec is complete and can run."
    )


def check_claims(seen: Observed, nodes: int, claims: list[str]) -> None:
    """Raises SpecRefused for a claim that is missing, or that several nodes can't share."""
    for claim in claims:
        found = seen.claims.get(claim)
        if found is None:
            raise SpecRefused(
                "ClaimNotFound",
                f"pvc://{claim}: there is no PersistentVolumeClaim {claim} in this namespace: create it, or name another.",
            )
        if nodes > 1 and "ReadWriteMany" not in found["spec"].get("accessModes", []):
            raise SpecRefused(
                "ClaimNotShared",
                f"pvc://{claim} is not ReadWriteMany, and pods on {nodes} nodes would never share it: take another claim, or compute.nodes: 1.",
            )


def refused(seen: Observed, so_far: Decision, reason: str, message: str) -> Decision:
    """An attempt that runs already goes on: it has all that it needs."""
    if seen.attempt is not None and failed_at(seen.attempt) is None:
        return so_far
    return replace(so_far.telling(ACCEPTED, False, reason, message), look_again_seconds=LOOK_AGAIN_SECONDS).done()


def stop_when_asked(seen: Observed, so_far: Decision) -> Decision:
    """Cancel ends the attempt and fails the job. Finish is told to the trainer by the answer to its next post."""
    stop = seen.job["spec"].get("stop")
    attempt = seen.attempt
    if stop == Stop.CANCEL and not (attempt is not None and succeeded(attempt)):
        alive = (attempt,) if attempt is not None else ()
        ended = End(FailureReason.CANCELLED, "spec.stop is Cancel. The last checkpoint is kept beside the output.")
        return fail(replace(so_far, delete=alive), ended)
    if stop == Stop.FINISH and attempt is None:
        return fail(
            so_far,
            End(FailureReason.CANCELLED, "spec.stop is Finish, but no step was trained: there is nothing to export."),
        )
    return so_far


def honour_suspend(seen: Observed, so_far: Decision) -> Decision:
    """Before the first attempt nothing is made; a running one is suspended in place, unless its queue decides that."""
    wanted = bool(seen.job["spec"].get("suspend")) and seen.job["spec"].get("stop") != Stop.FINISH
    attempt = seen.attempt
    over = attempt is None or succeeded(attempt) or failed_at(attempt) is not None
    if wanted and not (attempt is not None and succeeded(attempt)):
        told = so_far.telling(SUSPENDED, True, "SuspendedBySpec", "spec.suspend is true: set it to false to go on.")
        told = told.telling(RUNNING, False, "Suspended", "Its hardware is released.")
        return (told if over or attempt is None else suspending(told, attempt, True)).done()
    if has_condition(seen.job, SUSPENDED):
        so_far = so_far.telling(SUSPENDED, False, "Resumed", "spec.suspend is no longer true.")
    return so_far if over or attempt is None else suspending(so_far, attempt, False)


def suspending(so_far: Decision, attempt: Object, wanted: bool) -> Decision:
    """A Job with a queue's label is the queue's to suspend."""
    queued = QUEUE_LABEL in attempt["metadata"].get("labels", {})
    if queued or bool(attempt["spec"].get("suspend")) == wanted:
        return so_far
    return replace(so_far, suspend=((attempt, wanted),))


def run_the_attempt(seen: Observed, so_far: Decision) -> Decision:
    """The first attempt, or the next where one was deleted by hand."""
    if seen.attempt is not None:
        return so_far
    before = (seen.status.get("attempt") or {}).get("number", 0)
    cause = End(FailureReason.DISRUPTED, "its Job was deleted") if before else None
    return start(seen, so_far, before + 1, cause)


def follow_the_attempt(seen: Observed, so_far: Decision) -> Decision:
    """How the attempt stands."""
    attempt = seen.attempt
    assert attempt is not None, "run_the_attempt is asked before"
    if succeeded(attempt):
        return complete(seen, so_far)
    if failed_at(attempt) is not None:
        return so_far
    given = given_up(seen.pods, seen.now)
    if given is not None:
        return fail(replace(so_far, delete=(attempt,)), given)
    so_far = so_far.setting(attempt=attempt_status(seen, number_of(attempt), attempt["metadata"]["uid"]))
    if "resolved" not in seen.status and so_far.resolved is not None:
        # The Job was made, and the operator ended before it could say so.
        so_far = so_far.setting(**settled(so_far.resolved))
    running = [pod for pod in seen.pods if (pod.get("status") or {}).get("phase") in ("Running", "Succeeded")]
    if len(running) >= attempt["spec"]["completions"]:
        return so_far.telling(RUNNING, True, "PodsRunning", f"Attempt {number_of(attempt)} runs.").done()
    return replace(so_far.telling(RUNNING, False, *waiting(seen.pods)), look_again_seconds=LOOK_AGAIN_SECONDS).done()


def retry_or_fail(seen: Observed, so_far: Decision) -> Decision:
    """The next attempt, from the last checkpoint, unless it would fail again or the limit is reached."""
    attempt = seen.attempt
    assert attempt is not None, "follow_the_attempt lets only failed ones through"
    when = failed_at(attempt)
    assert when is not None, "follow_the_attempt lets only failed ones through"
    end = why(seen.pods, attempt)
    limit = (seen.job["spec"].get("limits") or {}).get("backoffLimit", BACKOFF_LIMIT)
    charged = (seen.status.get("attempt") or {}).get("charged", 0) + (end.reason not in UNCHARGED)
    if end.reason not in RETRYABLE:
        return fail(so_far, end)
    if charged > limit:
        return fail(so_far, replace(end, message=f"{end.message} (limits.backoffLimit of {limit} is reached)"))
    active = (attempt.get("status") or {}).get("active", 0) + (attempt.get("status") or {}).get("terminating", 0)
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (charged - 1)) if end.reason not in UNCHARGED else 0.0
    waited = (seen.now - when).total_seconds()
    if waited < pause or (active and seen.now - when < GONE_AFTER):
        told = so_far.telling(
            RUNNING,
            False,
            "Retrying",
            f"Attempt {number_of(attempt)} ended ({end.reason.value}: {end.message}) The next one is about to start.",
        )
        return replace(told, look_again_seconds=max(1.0, pause - waited)).done()
    return start(seen, so_far, number_of(attempt) + 1, end)


def start(seen: Observed, so_far: Decision, number: int, cause: End | None) -> Decision:
    """Attempt `number`."""
    spec, own = so_far.resolved, so_far.own
    assert spec is not None, "refuse_invalid settles it"
    assert own is not None, "refuse_invalid settles it"
    kind, _ = seen.catalogue.node_type(spec.compute.node_type)
    children: tuple[Object, ...] = (job_manifest(own, spec, kind.spec, number, seen.site),)
    if spec.compute.nodes > 1:
        children = (service_manifest(spec, number), *children)
    told = replace(so_far, create=children).setting(attempt=attempt_status(seen, number, None, cause), **settled(spec))
    message = f"Attempt {number} is being started." + (f" The one before ended: {cause.reason.value}." if cause else "")
    return told.telling(RUNNING, False, "Starting", message).done()


def settled(spec: ResolvedSpec) -> dict[str, object]:
    return {"resolved": [value.model_dump() for value in spec.told()], "method": spec.method.type.value}


def attempt_status(seen: Observed, number: int, uid: str | None, cause: End | None = None) -> dict[str, object]:
    before = seen.status.get("attempt") or {}
    charged = before.get("charged", 0) + (1 if cause and cause.reason not in UNCHARGED else 0)
    told = {"number": number, "job": attempt_name(seen.job["metadata"]["name"], number), "charged": charged}
    last = cause.reason.value if cause else before.get("lastEnd")
    return told | ({"jobUid": uid} if uid else {}) | ({"lastEnd": last} if last else {})


def complete(seen: Observed, so_far: Decision) -> Decision:
    result = result_of(seen.pods)
    message = result.message if result else "The result is stored."
    uri = (result and result.output_uri) or seen.job["spec"]["output"]["uri"]
    output: dict[str, object] = {"uri": uri, "digest": (result and result.output_digest) or "unknown"}
    if result and result.metrics:
        output["metrics"] = {name: f"{value:.6g}" for name, value in result.metrics.items()}
    told = so_far.setting(output=output).telling(COMPLETE, True, "Finished", message)
    return told.telling(RUNNING, False, "Finished", "Training has ended.").done()


def fail(so_far: Decision, end: End) -> Decision:
    told = so_far.setting(failure=end.as_status()).telling(FAILED, True, end.reason.value, end.message)
    return told.telling(RUNNING, False, end.reason.value, "Training has ended.").done()
