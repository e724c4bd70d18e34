"""Why an attempt doesn't run yet, in words, and when that has lasted too long."""

from __future__ import annotations

from datetime import datetime, timedelta

from skipjack.protocol import FailureReason

from .ends import End
from .types import Object

PATIENCE = timedelta(minutes=10)
"""How long an image may fail to come, or a container to be made, before the job fails. Waiting for a node has no end."""

IMAGE = frozenset({"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull"})
UNSTARTABLE = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


def waiting(pods: tuple[Object, ...], warnings: tuple[Object, ...]) -> tuple[str, str]:
    """(reason, sentence): of the pod that waits for the gravest cause, or why there is no pod."""
    for pod in pods:
        state = _waiting_state(pod)
        if state and state.get("reason") in IMAGE | UNSTARTABLE:
            return state["reason"], f"pod {pod['metadata']['name']}: {state.get('message') or state['reason']}"
    for pod in pods:
        for condition in (pod.get("status") or {}).get("conditions") or []:
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return condition.get(
                    "reason"
                ) or "Unschedulable", f"no node takes the pod yet: {condition.get('message', '')}"
    if not pods and warnings:
        newest = max(warnings, key=lambda event: event["metadata"]["creationTimestamp"])
        return newest["reason"], f"its pods can't be made: {newest.get('note', '')}"
    return "Starting", "Its pods are being started."


def given_up(pods: tuple[Object, ...], now: datetime) -> End | None:
    """The end of an attempt whose pods will never start."""
    for pod in pods:
        state = _waiting_state(pod)
        cause = state.get("reason") if state else None
        if (
            cause not in IMAGE | UNSTARTABLE
            or now - datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) < PATIENCE
        ):
            continue
        reason = FailureReason.IMAGE_UNAVAILABLE if cause in IMAGE else FailureReason.POD_UNSTARTABLE
        minutes = PATIENCE.total_seconds() / 60
        return End(
            reason,
            f"{cause} for more than {minutes:.0f} minutes: {state.get('message', '') if state else ''}",
            pod=pod["metadata"]["name"],
        )
    return None


def _waiting_state(pod: Object) -> Object | None:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    waiting: Object | None = (statuses[0].get("state") or {}).get("waiting") if statuses else None
    return waiting
