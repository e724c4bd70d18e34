"""A whole operator, as a process, against the real API server: it leads, and when told to stop hands over and ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from skipjack_operator.client import LEASES

from .live import Live, on_the_cluster

pytestmark = pytest.mark.cluster
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 60
"""For a process to start, lead or end on a busy machine; a leader that does not end would be waited for in vain."""


@asynccontextmanager
async def an_operator(live: Live, tmp_path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Looks after the test's namespace alone, and holds its lease there."""
    environment = os.environ | {
        "KUBECONFIG": str(live.cluster.kubeconfig),
        "PYTHONPATH": str(ROOT / "operator/src"),
        "SKIPJACK_NAMESPACE": live.namespace,
        "SKIPJACK_WATCH_NAMESPACES": live.namespace,
        "SKIPJACK_TRAINER_IMAGE": "trainer:1",
        "SKIPJACK_PROGRESS_URL": "http://nowhere:8080",
    }
    with (tmp_path / "operator.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "skipjack_operator", env=environment, stdout=log, stderr=log
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def holder(live: Live) -> str:
    lease = await live.kube.get(LEASES, live.namespace, "skipjack-operator")
    return str(lease["spec"].get("holderIdentity") or "") if lease else ""


async def test_a_leader_that_is_told_to_stop_hands_over_and_ends(tmp_path: Path) -> None:
    async with on_the_cluster() as live, an_operator(live, tmp_path) as process:
        async with asyncio.timeout(SECONDS):
            while not await holder(live):
                await asyncio.sleep(0.2)
        await live.job("bot")
        await asyncio.sleep(2)  # its watches have begun
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), SECONDS)
        assert code == 0, (tmp_path / "operator.log").read_text()
        assert await holder(live) == "", "the next replica needn't wait for the lease to run out"
