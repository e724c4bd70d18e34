"""A real MLflow server, on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from tests.trainer.ports import free_port

STARTS_WITHIN_SECONDS = 180
ENDS_WITHIN_SECONDS = 20


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Its URI. What it keeps lies in `folder`."""
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--default-artifact-root", str(folder / "artifacts"),
    ]  # fmt: skip
    quiet = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=quiet, stdout=log, stderr=log)
    uri = f"http://127.0.0.1:{port}"
    try:
        wait_for(uri, server, folder / "server.log")
        yield uri
    finally:
        server.terminate()
        server.wait(ENDS_WITHIN_SECONDS)


def wait_for(uri: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + STARTS_WITHIN_SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            if requests.get(f"{uri}/health", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())
