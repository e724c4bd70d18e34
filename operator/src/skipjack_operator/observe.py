"""The live objects → one frozen snapshot."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from pydantic import ValidationError

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.protocol import JOB_UID_LABEL
from skipjack.resolve import Catalogue
from skipjack_operator import catalogue
from skipjack_operator.client import FINE_TUNE_JOBS, JOBS, PERSISTENT_VOLUME_CLAIMS, PODS, Kube, Object
from skipjack_operator.decide.types import Observed, number_of
from skipjack_operator.manifests import PodEnvironment
from skipjack_operator.manifests.uris import names

Key = tuple[str, str]
"""(namespace, name)"""


async def observe(kube: Kube, key: Key, site: PodEnvironment) -> Observed | None:
    """Everything that deciding needs; None where the job is gone. Raises KubeError."""
    namespace, name = key
    job = await kube.get(FINE_TUNE_JOBS, namespace, name)
    if job is None:
        return None
    selector = f"{JOB_UID_LABEL}={job['metadata']['uid']}"
    jobs, pods, offered = await asyncio.gather(
        kube.list(JOBS, namespace, selector), kube.list(PODS, namespace, selector), catalogue.load(kube)
    )
    claimed = _claims(job, offered)
    claims = await asyncio.gather(*(kube.get(PERSISTENT_VOLUME_CLAIMS, namespace, claim) for claim in claimed))
    newest = max((number_of(attempt) for attempt in jobs), default=0)
    mine = tuple(pod for pod in pods if number_of(pod) == newest)
    return Observed(job, tuple(jobs), mine, dict(zip(claimed, claims, strict=True)), offered, site, datetime.now(UTC))


def _claims(job: Object, offered: Catalogue) -> list[str]:
    """Claims that the spec names, itself or by its BaseModel; of a spec that can't be read none, for it will be refused."""
    try:
        spec = FineTuneJobSpec.model_validate(job["spec"])
    except ValidationError:
        return []
    model = next((known.spec.uri for known in offered.base_models if known.name == spec.model), spec.model)
    sources = (*spec.dataset.train, *(spec.dataset.validation or ()))
    return names([model, spec.output.uri, *(source.uri for source in sources)], "pvc")
