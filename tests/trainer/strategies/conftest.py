"""DeepSpeed is imported once for all ranks that are forked."""

from __future__ import annotations

import pytest
from tests.trainer import trainees
from tests.trainer.trainees import CPU

from skipjack_trainer.engine.strategies import zero


@pytest.fixture(scope="session", autouse=True)
def deepspeed() -> None:
    """ZeRO-3 is to share out tiny weights too, which by default it leaves whole."""
    zero.imported(CPU)
    import deepspeed.runtime.superoffload.superoffload_stage3
    import deepspeed.runtime.zero.muon.muon_optimizer  # noqa: F401

    zero.PERSISTENT_ELEMENTS = 0
    trainees.stored("llama")
