"""The rules, in the order in which `CHAIN` asks them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pydantic import ValidationError

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.api.v1alpha1.finetunejob import Stop
from skipjack.api.v1alpha1.status import ConditionType
from skipjack.protocol import RETRYABLE, SPEC_BYTES_MAX, FailureReason, ResolvedValue, StoredFormat
from skipjack.resolve import SpecRefused, resolve_spec
from skipjack_operator.manifests import claims_of

from .attempts import DELETED, Tally, pause_seconds, settled, start
from .before import predecessor
from .ends import End, failed_at, has_condition, has_ended, is_over, result_of, succeeded, why
from .types import Decision, Object, Observed, number_of
from .waits import given_up, waiting

ACCEPTED, DATA_READY = ConditionType.ACCEPTED, ConditionType.DATA_READY
RUNNING, SUSPENDED = ConditionType.RUNNING, ConditionType.SUSPENDED
COMPLETE, FAILED = ConditionType.COMPLETE, ConditionType.FAILED

NAME_MAX = 52
OURS = "skipjack.dev/operator"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
BACKOFF_LIMIT = 3
LOOK_AGAIN_SECONDS = 30.0
NO_POD_YET_SECONDS = 5.0
GONE_AFTER = timedelta(seconds=150)
"""The grace of a pod and a margin: after it pods that still seem to run are on nodes that can't be reached, and are fenced."""


def leave_the_deleted_alone(seen: Observed, so_far: Decision) -> Decision:
    """Its Job may go before it does: nothing is ever made again for it."""
    return so_far.done() if seen.job["metadata"].get("deletionTimestamp") else so_far


def finished_is_final(seen: Observed, so_far: Decision) -> Decision:
    """Nothing is begun again for it; what still runs is ended, for the operator may have died before it could do so."""
    return replace(so_far, delete=alive(seen)).done() if has_ended(seen.job) else so_far


def alive(seen: Observed) -> tuple[Object, ...]:
    """Jobs of attempts that still run."""
    return tuple(job for job in seen.attempts if not is_over(job))


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
        before = predecessor(seen, own)
        spec = resolve_spec(own, metadata["name"], metadata["namespace"], metadata["uid"], seen.catalogue, before)
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
        return fail(
            seen,
            so_far,
            End(FailureReason.CANCELLED, "spec.stop is Cancel. The last checkpoint is kept beside the output."),
        )
    if stop == Stop.FINISH and attempt is None:
        return fail(
            seen,
            so_far,
            End(FailureReason.CANCELLED, "spec.stop is Finish, but no step was trained: there is nothing to export."),
        )
    return so_far


def honour_suspend(seen: Observed, so_far: Decision) -> Decision:
    """Before the first attempt nothing is made; a running one is suspended in place, unless its queue decides that."""
    wanted = bool(seen.job["spec"].get("suspend")) and seen.job["spec"].get("stop") != Stop.FINISH
    attempt = seen.attempt
    over = attempt is None or is_over(attempt)
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
    return start(seen, so_far, DELETED if Tally.of(seen).number else None)


def follow_the_attempt(seen: Observed, so_far: Decision) -> Decision:
    """How the attempt stands."""
    attempt = seen.attempt
    assert attempt is not None, "run_the_attempt is asked before"
    so_far = tell_data(seen, so_far)
    if succeeded(attempt):
        return complete(seen, so_far)
    if failed_at(attempt) is not None:
        return so_far
    given = given_up(seen.pods, seen.now)
    if given is not None:
        return fail(seen, so_far, given)
    status = Tally.of(seen).as_status(seen.job["metadata"]["name"], attempt["metadata"]["uid"])
    so_far = so_far.setting(attempt=status)
    if "resolved" not in seen.status and so_far.resolved is not None:
        # The Job was made, and the operator ended before it could say so.
        so_far = so_far.setting(**settled(so_far.resolved))
    running = [pod for pod in seen.pods if (pod.get("status") or {}).get("phase") in ("Running", "Succeeded")]
    if len(running) >= attempt["spec"]["completions"]:
        return so_far.telling(RUNNING, True, "PodsRunning", f"Attempt {number_of(attempt)} runs.").done()
    again = LOOK_AGAIN_SECONDS if seen.pods else NO_POD_YET_SECONDS
    told = so_far.telling(RUNNING, False, *waiting(seen.pods, seen.warnings))
    return replace(told, look_again_seconds=again).done()


def tell_data(seen: Observed, so_far: Decision) -> Decision:
    """The trainer reports what it found once every row is checked."""
    facts = seen.status.get("facts")
    if not facts:
        return so_far
    rows, held_out = facts.get("trainRows", 0), facts.get("validationRows", 0)
    sentence = f"Every row is checked: {rows} to train on, {held_out} held out, {facts.get('totalTokens', 0)} tokens."
    return so_far.telling(DATA_READY, True, "DataChecked", sentence)


def retry_or_fail(seen: Observed, so_far: Decision) -> Decision:
    """The next attempt, from the last checkpoint, unless it would fail again or the limit is reached."""
    attempt = seen.attempt
    assert attempt is not None, "follow_the_attempt lets only failed ones through"
    when = failed_at(attempt)
    assert when is not None, "follow_the_attempt lets only failed ones through"
    end = why(seen.pods, attempt)
    if end.reason not in RETRYABLE:
        return fail(seen, so_far, end)
    following = Tally.of(seen).after(end)
    limit = (seen.job["spec"].get("limits") or {}).get("backoffLimit", BACKOFF_LIMIT)
    if following.charged > limit:
        spent = f"{end.message} (limits.backoffLimit of {limit} is reached)"
        return fail(seen, so_far, replace(end, message=spent))
    status = attempt.get("status") or {}
    active = status.get("active", 0) + status.get("terminating", 0)
    left = pause_seconds(following, attempt, when) - (seen.now - when).total_seconds()
    if left > 0 or (active and seen.now - when < GONE_AFTER):
        sentence = (
            f"Attempt {number_of(attempt)} ended ({end.reason.value}: {end.message}) The next one is about to start."
        )
        return replace(so_far.telling(RUNNING, False, "Retrying", sentence), look_again_seconds=max(1.0, left)).done()
    return start(seen, so_far, end)


def complete(seen: Observed, so_far: Decision) -> Decision:
    result = result_of(seen.pods)
    message = result.message if result else "The result is stored."
    uri = (result and result.output_uri) or seen.job["spec"]["output"]["uri"]
    output: dict[str, object] = {"uri": uri, "digest": (result and result.output_digest) or "unknown"}
    if result and result.metrics:
        output["metrics"] = {name: f"{value:.6g}" for name, value in result.metrics.items()}
    if result and result.formats:
        output["formats"] = [format_status(each) for each in result.formats]
    told = so_far.setting(output=output).telling(COMPLETE, True, "Finished", message)
    return told.telling(RUNNING, False, "Finished", "Training has ended.").done()


def format_status(stored: StoredFormat) -> dict[str, object]:
    told = stored.model_dump(exclude_none=True)
    return told if stored.difference is None else told | {"difference": f"{stored.difference:.3g}"}


def fail(seen: Observed, so_far: Decision, end: End) -> Decision:
    """Failed for good; an attempt that still runs is ended."""
    told = replace(so_far, delete=alive(seen)).setting(failure=end.as_status())
    if end.reason in (FailureReason.DATA_INVALID, FailureReason.DATA_NOT_FOUND):
        told = told.telling(DATA_READY, False, end.reason.value, end.message)
    told = told.telling(FAILED, True, end.reason.value, end.message)
    return told.telling(RUNNING, False, end.reason.value, "Training has ended.").done()
