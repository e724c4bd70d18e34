from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from skipjack_operator.client import Kube

from .apiserver import APIServer
from .progress_half import Operator, a_training, an_operator


@pytest.fixture
async def server() -> AsyncIterator[APIServer]:
    async with APIServer().serve() as server:
        yield server


@pytest.fixture
async def kube(server: APIServer) -> AsyncIterator[Kube]:
    async with server.connect() as kube:
        yield kube


@pytest.fixture
async def operator(server: APIServer, kube: Kube) -> AsyncIterator[Operator]:
    a_training(server)
    async with an_operator(kube) as operator:
        yield operator
