"""What every test of the trainer has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from tests.trainer.ports import free_port


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Sums then add up in the same order in the processes that a test starts."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def a_port_of_its_own() -> Iterator[None]:
    """In a cluster each pod has its network to itself; here gangs of several test processes share one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skipjack_trainer.launch.RENDEZVOUS_PORT", free_port())
        yield
