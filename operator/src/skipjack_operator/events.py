"""Kubernetes Events (events.k8s.io/v1) at milestones, for people: a lost one is counted and logged, stops nothing."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from . import metrics
from .client import EVENTS, Kube, KubeError, NotFound

logger = logging.getLogger(__name__)

CONTROLLER = "skipjack.dev/operator"
NOTE_MAX = 1024
TOLD_MAX = 4096

EventType = Literal["Normal", "Warning"]


class Events:
    """Tells each thing once: level-triggered callers come to the same conclusion again and again."""

    def __init__(self, kube: Kube, instance: str | None = None) -> None:
        self._kube = kube
        self._instance = (instance or os.environ.get("POD_NAME") or socket.gethostname())[:128]
        self._told: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    async def emit(self, about: Mapping[str, Any], type_: EventType, reason: str, note: str) -> None:
        """An Event about the raw object `about` (apiVersion, kind, metadata). Never raises KubeError."""
        metadata = about["metadata"]
        key = (str(metadata.get("uid") or metadata["name"]), reason, note)
        if key in self._told:
            self._told.move_to_end(key)
            return
        event = self._event(about, type_, reason, note)
        try:
            await self._kube.create(EVENTS, event["metadata"]["namespace"], event)
        except KubeError as error:
            # In a namespace that is being deleted nothing can be created: that is no fault.
            level = logging.DEBUG if isinstance(error, NotFound) else logging.WARNING
            logger.log(level, "Event %s for %s not told: %s", reason, metadata["name"], error)
            metrics.EVENTS_TOTAL.labels("lost").inc()
            return
        metrics.EVENTS_TOTAL.labels("told").inc()
        self._told[key] = None
        while len(self._told) > TOLD_MAX:
            self._told.popitem(last=False)

    def _event(self, about: Mapping[str, Any], type_: EventType, reason: str, note: str) -> dict[str, Any]:
        metadata = about["metadata"]
        # Events of cluster-scoped objects live in the namespace default.
        namespace = metadata.get("namespace") or "default"
        regarding = {"apiVersion": about["apiVersion"], "kind": about["kind"], "name": metadata["name"]}
        regarding |= {field: metadata[field] for field in ("namespace", "uid") if metadata.get(field)}
        return {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {"name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "action": "Reconcile",
            "reason": reason[:128],
            "type": type_,
            "note": _cut(note),
            "regarding": regarding,
        }


def _cut(note: str) -> str:
    """The API server refuses notes of more than NOTE_MAX bytes."""
    encoded = note.encode()
    return note if len(encoded) <= NOTE_MAX else encoded[: NOTE_MAX - 4].decode(errors="ignore") + " …"
