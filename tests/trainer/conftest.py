"""What every test of the trainer has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest
import torch
from tests.support import buckets
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


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], buckets.Server]]:
    """The server of a scheme; each is started when it is first asked for."""
    with ExitStack() as running:

        @cache
        def server(scheme: str) -> buckets.Server:
            return running.enter_context(buckets.serving(scheme, tmp_path_factory.mktemp("buckets")))

        yield server
