"""The live objects → one frozen snapshot."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pydantic import ValidationError

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.protocol import JOB_UID_LABEL
from skipjack.resolve import Catalogue
from skipjack_operator.catalogue import Shelf
from skipjack_operator.client import EVENTS, FINE_TUNE_JOBS, JOBS, PERSISTENT_VOLUME_CLAIMS, PODS, Kube, Object, Objects
from skipjack_operator.decide.before import CHECKPOINTS, URI, is_settled, values_of
from skipjack_operator.decide.ends import has_ended, is_over
from skipjack_operator.decide.types import Observed, number_of
from skipjack_operator.manifests import PodEnvironment
from skipjack_operator.manifests.uris import names
from skipjack_operator.owners import is_child_of

Key = tuple[str, str]
"""(namespace, name)"""


NAMING_CLAIMS = ("model.uri", URI, CHECKPOINTS, "checkpoint.uri")
"""Resolved settings."""


async def observe(kube: Kube, shelf: Shelf, key: Key, site: PodEnvironment) -> Observed | None:
    """Everything that deciding needs; None where the job is gone. Raises KubeError."""
    namespace, name = key
    job = await kube.get(FINE_TUNE_JOBS, namespace, name)
    if job is None:
        return None
    offered = await shelf.catalogue()
    uid = job["metadata"]["uid"]
    attempts = [a for a in await kube.list(JOBS, namespace, f"{JOB_UID_LABEL}={uid}") if is_child_of(a, uid)]
    before = await _before(kube, job)
    claimed = [] if has_ended(job) else _claims(job, before, offered)
    newest = max(attempts, key=number_of, default=None)
    pods = await _pods(kube, newest) if newest else []
    claims = await asyncio.gather(*(kube.get(PERSISTENT_VOLUME_CLAIMS, namespace, claim) for claim in claimed))
    return Observed(
        job=job,
        attempts=tuple(attempts),
        pods=tuple(pods),
        claims=dict(zip(claimed, claims, strict=True)),
        catalogue=offered,
        site=site,
        now=datetime.now(UTC),
        before=before,
        warnings=tuple(await _warnings(kube, newest) if newest and _lacks_pods(newest, pods) else ()),
    )


async def _pods(kube: Kube, attempt: Object) -> Objects:
    metadata = attempt["metadata"]
    selector = f"batch.kubernetes.io/controller-uid={metadata['uid']}"
    return await kube.list(PODS, metadata["namespace"], selector)


def _lacks_pods(attempt: Object, pods: Objects) -> bool:
    waits = not is_over(attempt) and not attempt["spec"].get("suspend")
    return waits and len(pods) < attempt["spec"]["completions"]


async def _warnings(kube: Kube, attempt: Object) -> Objects:
    """By its Events alone the Job controller tells that it can't make a pod: a quota or an admission rule forbids it."""
    metadata = attempt["metadata"]
    return await kube.list(
        EVENTS, metadata["namespace"], field_selector=f"regarding.uid={metadata['uid']},type=Warning"
    )


async def _before(kube: Kube, job: Object) -> Object | None:
    """The job that this one starts from; None where none is named, and once the status tells all of it."""
    name = (job["spec"].get("startFrom") or {}).get("job")
    if not name or has_ended(job) or is_settled(job):
        return None
    return await kube.get(FINE_TUNE_JOBS, job["metadata"]["namespace"], name)


def _claims(job: Object, before: Object | None, offered: Catalogue) -> list[str]:
    """Claims that the spec names, itself, by its BaseModel or by what it starts from; of a spec that can't be read none, for it
    will be refused."""
    try:
        spec = FineTuneJobSpec.model_validate(job["spec"])
    except ValidationError:
        return []
    model = next((known.spec.uri for known in offered.base_models if known.name == spec.model), spec.model)
    sources = (*spec.dataset.train, *(spec.dataset.validation or ()))
    start = [spec.start_from.uri] if spec.start_from else []
    told = [values.get(field) for values in map(values_of, filter(None, (job, before))) for field in NAMING_CLAIMS]
    theirs = [before["spec"]["output"]["uri"]] if before else []
    own = [spec.output.uri, spec.checkpoint.uri if spec.checkpoint else None]
    uris = [model, *start, *told, *theirs, *own, *(source.uri for source in sources)]
    return names([uri for uri in uris if uri], "pvc")
