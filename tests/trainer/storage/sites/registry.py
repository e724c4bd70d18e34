"""oci://: the registry of the CNCF's project distribution, which gives nothing to strangers."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from tests.support.buckets import built
from tests.trainer.ports import free_port
from tests.trainer.storage.front import front_of
from tests.trainer.storage.sites.base import Site, access

from skipjack_trainer.storage.login import DOCKER_CONFIG

USER, PASSWORD = "robot", "password-of-the-registry"
HASHED = "$2y$04$KkM1jwf6j36m/cO3yYGZzue3o0G/S9tKShtvGmDDaqDdlcnFK1qhq"
"""The password by bcrypt, of the least cost: it is judged at every request."""


@contextmanager
def running(root: Path, is_open: bool = False) -> Iterator[int]:
    """The port of 127.0.0.1 where the registry listens."""
    port = free_port()
    told: dict[str, object] = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(root / "registry")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "secret": "one secret for all of its processes"},
        "log": {"level": "error"},
    }
    if not is_open:
        (root / "htpasswd").write_text(f"{USER}:{HASHED}\n")
        told["auth"] = {"htpasswd": {"realm": "tests", "path": str(root / "htpasswd")}}
    configuration = root / "registry.yaml"
    configuration.write_text(json.dumps(told))
    program = built("artifacts") / "registry"
    with (root / "registry.log").open("wb") as log:
        environment = {"OTEL_TRACES_EXPORTER": "none"}
        process = subprocess.Popen([program, "serve", configuration], stdout=log, stderr=log, env=environment)
    try:
        for _ in range(500):
            if answers(f"http://127.0.0.1:{port}/v2/"):
                break
            assert process.poll() is None, (root / "registry.log").read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code < 500
    except requests.ConnectionError:
        return False


def docker_config(host: str) -> str:
    """As kubectl create secret docker-registry writes it."""
    user = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return json.dumps({"auths": {host: {"username": USER, "password": PASSWORD, "auth": user}}})


def oras(*words: str | Path, cwd: Path) -> str:
    """The oras program, as its project publishes it."""
    command = [built("artifacts") / "oras", *words, "--plain-http", "-u", USER, "--password-stdin"]
    done = subprocess.run(
        command, cwd=cwd, input=PASSWORD, capture_output=True, text=True, check=False, env={"HOME": str(cwd)}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def opened(root: Path) -> Iterator[Site]:
    with running(root) as port, front_of(port, "/blobs/sha256:") as front:
        files = root / "files"

        def seed(name: str, path: str, content: bytes) -> None:
            place = files / name / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            names = [file.relative_to(files / name).as_posix() for file in (files / name).rglob("*") if file.is_file()]
            oras("push", f"127.0.0.1:{port}/team/{name}:v1", *names, cwd=files / name)

        host = f"127.0.0.1:{front.port}"
        own = access(root, f"oci://{host}/", **{DOCKER_CONFIG: docker_config(host)})
        yield Site(own, f"oci://{host}/team/NAME:v1", seed, front)
