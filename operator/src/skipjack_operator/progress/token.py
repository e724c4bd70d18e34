"""Whose word a progress post is: from its token to the pod, the pod's Job and the FineTuneJob that owns it."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from skipjack.protocol import ATTEMPT_LABEL, TOKEN_AUDIENCE
from skipjack_operator import metrics
from skipjack_operator.client import JOBS, PODS, TOKEN_REVIEWS, Kube, Object
from skipjack_operator.owners import BATCH_JOB, FINE_TUNE_JOB, controller_of

POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"

TOKEN_BYTES_MAX = 16 * 1024
CACHED_MAX = 4096
TRUSTED_SECONDS = 300.0
"""How long a reviewed token is believed. A pod that was replaced meanwhile is told by the order of samples."""
REFUSED_SECONDS = 10.0
REVIEWS_AT_ONCE = 4
"""Strangers may send any number of tokens: they wait for each other, the reconciler not for them."""


class TokenRefused(Exception):
    """The post is not believed. `status`: 401 when the token is no good, 403 when its bearer may not tell progress."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Reporter:
    """Rank 0 of one attempt, as the cluster knows it."""

    namespace: str
    job: str
    """Name of the FineTuneJob."""
    uid: str
    """Uid of the FineTuneJob."""
    attempt: int
    pod: str
    pod_uid: str
    pod_created: str
    """RFC 3339 in UTC, which sorts as text."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    told: Reporter | TokenRefused
    until: float


class Reviewer:
    """Reviews tokens, and remembers them by their hash for a while."""

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._verdicts: OrderedDict[bytes, _Verdict] = OrderedDict()
        self._reviews = asyncio.Semaphore(REVIEWS_AT_ONCE)

    async def review(self, token: str) -> Reporter:
        """Who posts. Raises TokenRefused, and KubeError when the API server can't be asked."""
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenRefused(401, "the token is too long to be one")
        key = hashlib.sha256(token.encode()).digest()
        verdict = self._remembered(key)
        if verdict is None:
            async with self._reviews:
                verdict = self._remembered(key) or await self._judge(key, token)
        if isinstance(verdict.told, TokenRefused):
            raise TokenRefused(verdict.told.status, verdict.told.message)
        return verdict.told

    def _remembered(self, key: bytes) -> _Verdict | None:
        verdict = self._verdicts.get(key)
        return verdict if verdict and self._clock() < verdict.until else None

    async def _judge(self, key: bytes, token: str) -> _Verdict:
        try:
            verdict = _Verdict(await self._reporter(token), self._clock() + TRUSTED_SECONDS)
        except TokenRefused as refused:
            verdict = _Verdict(refused, self._clock() + REFUSED_SECONDS)
        metrics.TOKEN_REVIEWS_TOTAL.labels("refused" if isinstance(verdict.told, TokenRefused) else "accepted").inc()
        self._verdicts[key] = verdict
        self._verdicts.move_to_end(key)
        while len(self._verdicts) > CACHED_MAX:
            self._verdicts.popitem(last=False)
        return verdict

    async def _reporter(self, token: str) -> Reporter:
        namespace, pod_name, pod_uid = bound_pod(await self._reviewed(token))
        pod = await self._kube.get(PODS, namespace, pod_name)
        if pod is None or pod["metadata"]["uid"] != pod_uid:
            raise TokenRefused(403, f"pod {namespace}/{pod_name} of the token is gone")
        labels_and_annotations = (pod["metadata"].get("labels") or {}) | (pod["metadata"].get("annotations") or {})
        if labels_and_annotations.get(COMPLETION_INDEX) != "0":
            raise TokenRefused(403, f"pod {namespace}/{pod_name} is not completion index 0 of an Indexed Job")
        owner = controller_of(pod, BATCH_JOB)
        job = await self._kube.get(JOBS, namespace, owner["name"]) if owner else None
        if owner is None or job is None or job["metadata"]["uid"] != owner["uid"]:
            raise TokenRefused(403, f"pod {namespace}/{pod_name} belongs to no Job")
        tuned = controller_of(job, FINE_TUNE_JOB)
        if tuned is None:
            raise TokenRefused(403, f"job {namespace}/{owner['name']} belongs to no FineTuneJob")
        attempt = str((job["metadata"].get("labels") or {}).get(ATTEMPT_LABEL, ""))
        if not attempt.isdigit():
            raise TokenRefused(403, f"job {namespace}/{owner['name']} has no label {ATTEMPT_LABEL}")
        created = pod["metadata"]["creationTimestamp"]
        return Reporter(namespace, tuned["name"], tuned["uid"], int(attempt), pod_name, pod_uid, created)

    async def _reviewed(self, token: str) -> Object:
        body = {
            "apiVersion": TOKEN_REVIEWS.api_version,
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [TOKEN_AUDIENCE]},
        }
        status: Object = (await self._kube.create(TOKEN_REVIEWS, None, body)).get("status") or {}
        # An authenticator that knows no audiences leaves them out: its word says nothing about ours.
        if not status.get("authenticated") or TOKEN_AUDIENCE not in (status.get("audiences") or []):
            raise TokenRefused(401, f"the token is not valid for {TOKEN_AUDIENCE}: {status.get('error') or 'refused'}")
        return status


def bound_pod(review: Object) -> tuple[str, str, str]:
    """Namespace, name and uid of the pod that a reviewed token is bound to. Raises TokenRefused."""
    user: dict[str, Any] = review.get("user") or {}
    extra: dict[str, list[str]] = user.get("extra") or {}
    names, uids = extra.get(POD_NAME) or [], extra.get(POD_UID) or []
    username = str(user.get("username", ""))
    if not username.startswith(SERVICE_ACCOUNT_PREFIX) or len(names) != 1 or len(uids) != 1:
        raise TokenRefused(403, "the token is not bound to a pod: post with the projected token of the trainer's pod")
    return username.removeprefix(SERVICE_ACCOUNT_PREFIX).split(":")[0], names[0], uids[0]
