"""Which installed libraries a job doesn't use: others import whatever they find, and a job waits for it before its first step."""

from __future__ import annotations

import sys

from skipjack.resolve import ResolvedSpec


def leave_out_unused(spec: ResolvedSpec) -> None:
    """From now on an import of what this job doesn't use fails, as it would where that isn't installed.

    PEFT imports bitsandbytes where it is installed: 1 to 2 s of every start, and a warning about kernels that are not there.
    """
    if spec.method.quantization is None:
        # None is Python's way to say that a module is not to be imported. One that is there already stays.
        sys.modules.setdefault("bitsandbytes", None)  # type: ignore[arg-type]
