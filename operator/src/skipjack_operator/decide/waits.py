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
    """(reason, sentence): of the pod that waits for the gravest cause, or why pods are missing."""
    for pod in pods:
        state = _waiting_state(pod)
        if state and state.get("reason") in IMAGE | UNSTARTABLE:
            return state["reason"], f"pod {pod['metadata']['name']}: {state.get('message') or state['reason']}"
    for pod in pods:
        held = _scheduled(pod)
        if held and held["status"] == "False":
            return held.get("reason") or "Unschedulable", f"no node takes the pod yet: {held.get('message', '')}"
    if warnings:
        newest = max(warnings, key=lambda event: event["metadata"]["creationTimestamp"])
        return newest["reason"], f"its pods can't be made: {newest.get('note', '')}"
    return "Starting", "Its pods are being started."


def given_up(pods: tuple[Object, ...], now: datetime) -> End | None:
    """The end of an attempt whose pods will never start."""
    for pod in pods:
        state = _waiting_state(pod) or {}
        cause = state.get("reason")
        placed = (_scheduled(pod) or {}).get("lastTransitionTime") or pod["metadata"]["creationTimestamp"]
        waited = now - datetime.fromisoformat(placed)
        if cause not in IMAGE | UNSTARTABLE or waited < PATIENCE:
            continue
        reason = FailureReason.IMAGE_UNAVAILABLE if cause in IMAGE else FailureReason.POD_UNSTARTABLE
        minutes = PATIENCE.total_seconds() / 60
        message = f"{cause} for more than {minutes:.0f} minutes: {state.get('message', '')}"
        return End(reason, message, pod=pod["metadata"]["name"])
    return None


def _scheduled(pod: Object) -> Object | None:
    """Whether a node has taken the pod, and since when."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    return next((condition for condition in conditions if condition["type"] == "PodScheduled"), None)


def _waiting_state(pod: Object) -> Object | None:
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    waiting: Object | None = (statuses[0].get("state") or {}).get("waiting") if statuses else None
    return waiting
