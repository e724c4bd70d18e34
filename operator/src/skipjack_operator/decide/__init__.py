"""What to do about one job, given everything known of it. Pure: no client, no clock, no randomness."""

from __future__ import annotations

from functools import reduce

from .rules import (
    finished_is_final,
    follow_the_attempt,
    honour_suspend,
    leave_the_deleted_alone,
    leave_to_its_manager,
    refuse_invalid,
    retry_or_fail,
    run_the_attempt,
    stop_when_asked,
)
from .status import next_status
from .types import Decision, Observed, Rule

CHAIN: tuple[Rule, ...] = (
    leave_the_deleted_alone,
    finished_is_final,
    leave_to_its_manager,
    refuse_invalid,
    stop_when_asked,
    honour_suspend,
    run_the_attempt,
    follow_the_attempt,
    retry_or_fail,
)


def decide(seen: Observed) -> Decision:
    """The decision of the first rules that have something final to say."""
    return reduce(lambda so_far, rule: so_far if so_far.is_final else rule(seen, so_far), CHAIN, Decision())


__all__ = ["CHAIN", "Decision", "Observed", "decide", "next_status"]
