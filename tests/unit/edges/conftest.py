from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from skipjack_operator.client import Kube

from .apiserver import APIServer


@pytest.fixture
async def server() -> AsyncIterator[APIServer]:
    async with APIServer().serve() as server:
        yield server


@pytest.fixture
async def kube(server: APIServer) -> AsyncIterator[Kube]:
    async with server.connect() as kube:
        yield kube
