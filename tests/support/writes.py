"""The API writes of one job's life, counted from the API server's audit log."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.cluster import Cluster

WRITE_VERBS = frozenset({"create", "update", "patch", "delete"})
ASIDE = frozenset({"events", "leases", "tokenreviews"})
PROGRESS_MANAGER = "fieldManager=skipjack-progress"
OPERATOR_USER = "system:serviceaccount:skipjack-system:"


@dataclass(frozen=True, slots=True)
class Writes:
    """Our operator's writes for one job: what counts, and progress."""

    by_verb_and_resource: dict[str, int]
    progress: int

    @property
    def counted(self) -> int:
        return sum(self.by_verb_and_resource.values())


def job_writes(cluster: Cluster, seen: dict[str, Any]) -> Writes:
    """The operator's writes on the job `seen` and its children, not on one of the same name before it.

    On a cluster without our audit log: none are known (ValueError)."""
    if not cluster.audit_log:
        raise ValueError("this cluster has no audit log that we can read")
    metadata = seen["metadata"]
    job, namespace = metadata["name"], metadata["namespace"]
    counted: Counter[str] = Counter()
    progress = 0
    with open(cluster.audit_log, encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            about = event.get("objectRef", {})
            named = about.get("name", "") or job
            ours = event["user"]["username"].startswith(OPERATOR_USER) and about.get("namespace") == namespace
            if (
                not ours
                or event["verb"] not in WRITE_VERBS
                or about.get("resource") in ASIDE
                or not named.startswith(job)
                or event["requestReceivedTimestamp"] < metadata["creationTimestamp"].removesuffix("Z")
            ):
                continue
            if event.get("stage") != "ResponseComplete":
                continue
            if PROGRESS_MANAGER in event["requestURI"]:
                progress += 1
            else:
                counted[
                    f"{event['verb']} {about['resource']}{'/' + about['subresource'] if about.get('subresource') else ''}"
                ] += 1
    return Writes(dict(counted), progress)
