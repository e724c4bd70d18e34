"""Who controls an object, as its ownerReferences tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FINE_TUNE_JOB = ("skipjack.dev/v1alpha1", "FineTuneJob")
BATCH_JOB = ("batch/v1", "Job")


def controller_of(child: Mapping[str, Any], kind: tuple[str, str]) -> Mapping[str, Any] | None:
    """The controller's ownerReference, if it is of that (apiVersion, kind)."""
    owners = child["metadata"].get("ownerReferences") or []
    controller: Mapping[str, Any] | None = next((owner for owner in owners if owner.get("controller")), None)
    if controller is None or (controller["apiVersion"], controller["kind"]) != kind:
        return None
    return controller


def is_child_of(child: Mapping[str, Any], uid: str) -> bool:
    """Whether the FineTuneJob of that uid controls it. A label alone says nothing: anybody can set one."""
    owner = controller_of(child, FINE_TUNE_JOB)
    return owner is not None and owner["uid"] == uid
