"""Object stores for tests, each a real server on this machine: versitygw for s3://, Azurite for az://, fake-gcs-server for gs://."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.utils import formatdate
from pathlib import Path

from skipjack_trainer.in_turn import in_turn
from skipjack_trainer.storage import Access
from tests.cluster import programs
from tests.cluster.steps import CACHE
from tests.support.xml_storage import before
from tests.trainer.ports import free_port

REGION = "eu-west-1"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own, the same everywhere (Azure's documentation of Azurite)."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running object store with an empty bucket `data`."""

    scheme: str
    port: int
    folder: Path
    """What the server keeps. Those of s3 and gs have a folder for a bucket and a file for an object."""
    address: str = "127.0.0.1"

    def secret(self, port: int | None = None) -> dict[str, str]:
        """The keys of a Secret that opens it, by way of another port of this machine where one is given."""
        here = f"http://{self.address}:{port or self.port}"
        match self.scheme:
            case "s3":
                keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "open sesame"}
                return keys | {"AWS_ENDPOINT_URL": here, "AWS_REGION": REGION}
            case "az":
                keys = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY}
                return keys | {"AZURE_STORAGE_ENDPOINT": f"{here}/{ACCOUNT}"}
            case _:
                emulator = {"gcs_base_url": here, "disable_oauth": True}
                told = emulator | dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
                return {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(told)}

    def access(self, root: Path, port: int | None = None, **changes: str | None) -> Access:
        """What a pod at `root` has whose Secret `bucket` opens the store; None takes a key away."""
        folder = root / "mnt/credentials/bucket"
        folder.mkdir(parents=True, exist_ok=True)
        for key, value in (self.secret(port) | changes).items():
            (folder / key).unlink(missing_ok=True)
            if value is not None:
                (folder / key).write_text(value)
        mounts = (root / "mnt" / name for name in ("claims", "configmaps", "credentials"))
        return Access(*mounts, root / "scratch", {f"{self.scheme}://": "bucket"})


@contextmanager
def serving(
    scheme: str, root: Path, tls: tuple[Path, Path] | None = None, address: str = "127.0.0.1"
) -> Iterator[Server]:
    """The server of a scheme, its files below `root`; built the first time. `tls` (certificate and key) and `address` are of s3 alone."""
    folder, port = root / scheme, free_port()
    (folder / "data").mkdir(parents=True)
    server = Server(scheme, port, folder, address)
    with (root / f"{scheme}.log").open("wb") as log:
        known = os.environ | {"ROOT_ACCESS_KEY_ID": "key", "ROOT_SECRET_ACCESS_KEY": "open sesame"}
        process = subprocess.Popen(COMMANDS[scheme](server, tls), env=known, stdout=log, stderr=log, cwd=root)
    try:
        _await(process, address, port)
        if scheme == "az":
            make_container(port, "data")
        if scheme == "gs":
            with before(port, own := free_port()):
                yield replace(server, port=own)
        else:
            yield server
    finally:
        # Told to end kindly, some wait for connections that nobody uses any more.
        process.kill()
        process.wait()


def _s3(server: Server, tls: tuple[Path, Path] | None) -> list[str]:
    secured = ["--cert", str(tls[0]), "--key", str(tls[1])] if tls else []
    told = ["--port", f"{server.address}:{server.port}", "--keep-alive", "--quiet", "--region", REGION, *secured]
    return [str(built("storage") / "versitygw"), *told, "posix", str(server.folder)]


def _az(server: Server, _: tuple[Path, Path] | None) -> list[str]:
    told = ["--silent", "--disableTelemetry", "--skipApiVersionCheck", "--location", str(server.folder)]
    program = installed("azurite") / "azurite-blob"
    return [str(program), *told, "--blobHost", "127.0.0.1", "--blobPort", str(server.port)]


def _gs(server: Server, _: tuple[Path, Path] | None) -> list[str]:
    here = f"127.0.0.1:{server.port}"
    told = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(server.port), "-public-host", here]
    return [str(built("storage") / "fake-gcs-server"), *told, "-filesystem-root", str(server.folder)]


COMMANDS: dict[str, Callable[[Server, tuple[Path, Path] | None], list[str]]] = {"az": _az, "gs": _gs, "s3": _s3}


def built(module: str) -> Path:
    """The programs of a Go module. Of several test processes one builds."""
    with in_turn(CACHE / "programs"):
        return programs.build(module)


def installed(package: str) -> Path:
    """The programs of an npm package. Of several test processes one installs."""
    with in_turn(CACHE / "programs"):
        return programs.install(package)


def make_container(port: int, name: str) -> None:
    """Azure's protocol, with its Shared Key: obstore makes no containers."""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    told = "".join(f"{key}:{value}\n" for key, value in headers.items())
    signed = f"PUT{chr(10) * 12}{told}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signature = hmac.new(base64.b64decode(ACCOUNT_KEY), signed.encode(), hashlib.sha256).digest()
    headers |= {
        "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(signature).decode()}",
        "Content-Length": "0",
    }
    url = f"http://127.0.0.1:{port}/{ACCOUNT}/{name}?restype=container"
    urllib.request.urlopen(urllib.request.Request(url, method="PUT", headers=headers)).close()


def _await(process: subprocess.Popen[bytes], address: str, port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((address, port)).close()
        except OSError:
            assert process.poll() is None, f"it ended with {process.returncode}"
            assert time.monotonic() < deadline, "it never listened"
            time.sleep(0.05)
        else:
            return
