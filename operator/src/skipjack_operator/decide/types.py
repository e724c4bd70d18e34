"""What deciding takes and gives: a frozen snapshot in, a frozen decision out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.api.v1alpha1.status import ConditionType
from skipjack.protocol import ATTEMPT_LABEL
from skipjack.resolve import Catalogue, ResolvedSpec
from skipjack_operator.manifests import PodEnvironment

Object = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything known of one FineTuneJob, as raw objects, and when."""

    job: Object
    attempts: tuple[Object, ...]
    """Its batch Jobs."""
    pods: tuple[Object, ...]
    """Pods of the newest attempt."""
    claims: Mapping[str, Object | None]
    catalogue: Catalogue
    site: PodEnvironment
    now: datetime
    before: Object | None = None
    """The FineTuneJob that it starts from, while that isn't settled."""
    warnings: tuple[Object, ...] = ()
    """Warning Events of the newest attempt's Job, read while it lacks pods."""

    @property
    def status(self) -> Object:
        status: Object = self.job.get("status") or {}
        return status

    @property
    def attempt(self) -> Object | None:
        """The newest attempt's Job; None before the first, and where it was deleted by hand."""
        told: int = (self.status.get("attempt") or {}).get("number", 0)
        return max((job for job in self.attempts if number_of(job) >= told), key=number_of, default=None)


def number_of(job: Object) -> int:
    return int(job["metadata"].get("labels", {}).get(ATTEMPT_LABEL, "0"))


@dataclass(frozen=True, slots=True)
class Told:
    """A condition as it shall be."""

    status: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall be done. Empty: nothing."""

    create: tuple[Object, ...] = ()
    delete: tuple[Object, ...] = ()
    suspend: tuple[tuple[Object, bool], ...] = ()
    """Jobs whose spec.suspend shall be so."""
    conditions: Mapping[ConditionType, Told] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
    """Other fields of the status."""
    look_again_seconds: float | None = None
    is_final: bool = False
    own: FineTuneJobSpec | None = None
    resolved: ResolvedSpec | None = None

    def telling(self, kind: ConditionType, status: bool, reason: str, message: str) -> Decision:
        return replace(self, conditions={**self.conditions, kind: Told(status, reason, message)})

    def setting(self, **fields: Any) -> Decision:
        return replace(self, status={**self.status, **fields})

    def done(self) -> Decision:
        """Nothing more is to be said."""
        return replace(self, is_final=True)


Rule = Callable[[Observed, Decision], Decision]
