"""The termination message: what a pod says when it ends."""

from __future__ import annotations

from pathlib import Path

from skipjack.protocol import ExitCode, FailureReason, Result

CONSEQUENCES = frozenset({FailureReason.PEER_LOST, FailureReason.INTERRUPTED})
"""What happens to a process because of another one."""


def leave(path: Path, result: Result) -> ExitCode:
    """Writes `result` as the last word of this pod; the exit code that goes with it.

    Its processes share the place: what one suffers from another never replaces what that other has said.
    """
    if result.reason not in CONSEQUENCES or said(path) is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(result.encode())
    return ExitCode.of(result.reason) if result.reason else ExitCode.OK


def said(path: Path) -> Result | None:
    """The last word that is there already."""
    text = path.read_text() if path.is_file() else ""
    return Result.model_validate_json(text) if text else None
