"""One leader among the replicas, by a coordination.k8s.io/v1 Lease.

No clock but the own monotonic one decides: a lease counts from when this process saw its record change, whatever times
are written in it. So a replica whose clock is wrong neither steals a lease nor keeps one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Never

from skipjack.protocol import GROUP

from . import metrics
from .client import LEASES, PODS, AlreadyExists, Conflict, Kube, KubeError, Object

logger = logging.getLogger(__name__)

LEADER_LABEL = f"{GROUP}/leader"
"""On the leader's pod alone; the Service of the progress endpoint selects it."""


class LeadershipLost(Exception):
    """Another replica leads now, or may soon: this process must write nothing more, and end."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. A leader that can't renew gives up (`renew_deadline`) before another may take over (`duration`)."""

    duration: int = 15
    renew_deadline: float = 10.0
    retry: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry < self.renew_deadline < self.duration:
            raise ValueError(f"leader election needs retry < renew_deadline < duration, not {self}")


@dataclass(frozen=True, slots=True)
class _Seen:
    """A lease's record, and when it was first seen so, on the own monotonic clock."""

    record: tuple[Any, ...]
    since: float


class Leader:
    """This replica's part in the election."""

    def __init__(
        self,
        kube: Kube,
        namespace: str,
        name: str,
        *,
        pod_name: str | None = None,
        timing: Timing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._pod_name = pod_name
        self._timing = timing or Timing()
        self._clock = clock
        # A restarted container is another candidate than the one before it, though the pod's name is the same.
        self.identity = f"{pod_name or 'local'}_{uuid.uuid4().hex[:12]}"
        self._seen: _Seen | None = None
        self._renewed: float | None = None

    @property
    def is_leading(self) -> bool:
        """Whether this replica may act now. False also when the process slept past its deadline."""
        return self._renewed is not None and self._clock() - self._renewed < self._timing.renew_deadline

    async def acquire(self) -> None:
        """Wait until this replica leads. An API server that is away is waited for."""
        metrics.LEADER.set(0)
        await self._label_pod(None)
        while not await self._tried():
            await asyncio.sleep(self._timing.retry * random.uniform(1.0, 1.2))
        logger.info("leading as %s", self.identity)
        metrics.LEADER.set(1)
        await self._label_pod("true")

    async def keep(self) -> Never:
        """Renew for ever. Raises LeadershipLost."""
        while True:
            await asyncio.sleep(self._timing.retry)
            await self._renew()

    async def release(self) -> None:
        """Hand over at once: the next replica needn't wait for the lease to run out."""
        if not self.is_leading:
            return
        self._renewed = None
        metrics.LEADER.set(0)
        try:
            async with asyncio.timeout(self._timing.retry * 2):
                await self._label_pod(None)
                lease = await self._kube.get(LEASES, self._namespace, self._name)
                if lease and _record(lease)[0] == self.identity:
                    await self._write(lease, holder="")
        except (KubeError, TimeoutError) as error:
            logger.warning("lease not released, it runs out in %d s: %s", self._timing.duration, error)

    async def _renew(self) -> None:
        assert self._renewed is not None, "acquire comes first"
        deadline = self._renewed + self._timing.renew_deadline
        while True:
            left = deadline - self._clock()
            if left <= 0:
                self._renewed = None
                metrics.LEADER.set(0)
                raise LeadershipLost(f"the lease {self._name} was not renewed within {self._timing.renew_deadline:g} s")
            try:
                # Half the deadline at most: a stalled connection leaves time for another try on a new one.
                async with asyncio.timeout(min(left, self._timing.renew_deadline / 2)):
                    if await self._held():
                        return
            except TimeoutError:
                continue
            await asyncio.sleep(min(self._timing.retry, max(0.0, deadline - self._clock())))

    async def _held(self) -> bool:
        """Renew once: True when done, False to try again. Raises LeadershipLost when another holds the lease."""
        began = self._clock()
        try:
            lease = await self._kube.get(LEASES, self._namespace, self._name)
            holder = _record(lease)[0] if lease else None
            if lease is None or holder != self.identity:
                self._renewed = None
                metrics.LEADER.set(0)
                raise LeadershipLost(f"the lease {self._name} is held by {holder or 'nobody'}")
            await self._write(lease, holder=self.identity)
        except Conflict:
            return False
        except KubeError as error:
            logger.warning("lease not renewed yet: %s", error)
            return False
        self._renewed = began
        return True

    async def _tried(self) -> bool:
        """Try to take the lease once."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._timing.renew_deadline):
                lease = await self._kube.get(LEASES, self._namespace, self._name)
                if lease is None:
                    await self._kube.create(LEASES, self._namespace, self._lease())
                elif self._is_free(lease):
                    await self._write(lease, holder=self.identity)
                else:
                    return False
        except (AlreadyExists, Conflict):
            return False
        except (KubeError, TimeoutError) as error:
            logger.warning("lease not taken: %s", error or "no answer in time")
            return False
        self._renewed = began
        return True

    def _is_free(self, lease: Object) -> bool:
        """Whether nobody holds it, or its holder was not seen to renew it for as long as it promised to."""
        record = _record(lease)
        if self._seen is None or self._seen.record != record:
            self._seen = _Seen(record, self._clock())
        holder, duration, *_ = record
        return not holder or holder == self.identity or self._clock() - self._seen.since > duration

    async def _write(self, lease: Object, holder: str) -> None:
        """Write our record over the one that was read. Raises Conflict when it has changed since."""
        transitions = lease["spec"].get("leaseTransitions") or 0
        if _record(lease)[0] != holder and holder:
            transitions += 1
        ours = self._lease(holder, transitions)
        ours["metadata"] |= {"resourceVersion": lease["metadata"]["resourceVersion"]}
        await self._kube.patch(LEASES, self._namespace, self._name, ours)

    def _lease(self, holder: str | None = None, transitions: int = 0) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "apiVersion": LEASES.api_version,
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.identity if holder is None else holder,
                "leaseDurationSeconds": self._timing.duration if holder != "" else 1,
                "leaseTransitions": transitions,
                "renewTime": now,
            },
        }

    async def _label_pod(self, value: str | None) -> None:
        """Set or (None) clear the label on the own pod, until it is done; without a pod there is nothing to do."""
        if self._pod_name is None:
            return
        change = {"metadata": {"labels": {LEADER_LABEL: value}}}
        while True:
            try:
                await self._kube.patch(PODS, self._namespace, self._pod_name, change)
                return
            except KubeError as error:
                if error.status in (403, 404):
                    # Posts reach no leader then: not to be passed over in silence, nor a reason to do no work.
                    logger.error("pod %s can't be labelled, progress will not arrive: %s", self._pod_name, error)
                    return
                logger.warning("pod %s not labelled yet: %s", self._pod_name, error)
                await asyncio.sleep(self._timing.retry)


def _record(lease: Object) -> tuple[Any, ...]:
    """What makes one writing of the lease differ from another: holder, duration, times, version."""
    spec = lease.get("spec") or {}
    holder, duration = spec.get("holderIdentity") or "", spec.get("leaseDurationSeconds") or 1
    return holder, duration, spec.get("renewTime"), spec.get("acquireTime"), lease["metadata"].get("resourceVersion")
