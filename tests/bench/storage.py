"""Object stores beside their protocols' own clients: `python -m tests.bench.storage [--mib 1024] [--files 1000] [--rounds 3]`.

One large file and many small ones, both ways, against the servers that the tests use, each transfer in a process of its own, the two
clients in turn. Told are the medians of the rounds, the ratio, and the CPU time and peak memory of the client's own process, for a
quarter of the large file too.
gs:// is not among them: no server that can be had takes both clients' uploads.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from skipjack_trainer.storage import Store, bring, open_store, send
from tests.support import buckets
from tests.support.buckets import Server

AT_ONCE = 8
SMALL_BYTES = 64 * 2**10
MIB = 2**20


class Files(NamedTuple):
    """What is transferred: the files of a folder, by their names."""

    folder: Path
    names: tuple[str, ...]

    @property
    def mib(self) -> float:
        return sum((self.folder / name).stat().st_size for name in self.names) / MIB


class Client(NamedTuple):
    """Both ways; the second argument of `get` is the folder that the files come to."""

    put: Callable[[Files], object]
    get: Callable[[Files, Path], object]


def skipjack(server: Server, root: Path) -> Client:
    store: Store = open_store(f"{server.scheme}://data", server.access(root)).store

    def get(files: Files, into: Path) -> None:
        wanted = set(files.names)
        bring(store, [entry for entry in store.list() if entry.path in wanted], into)

    return Client(lambda files: send(store, {name: files.folder / name for name in files.names}), get)


def boto(server: Server, _: Path) -> Client:
    """Amazon's, with its own transfer manager."""
    import boto3

    secret = server.secret()
    client = boto3.client(
        "s3",
        endpoint_url=secret["AWS_ENDPOINT_URL"],
        region_name=secret["AWS_REGION"],
        aws_access_key_id=secret["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret["AWS_SECRET_ACCESS_KEY"],
    )
    return in_threads(
        lambda file, name: client.upload_file(str(file), "data", name),
        lambda name, file: client.download_file("data", name, str(file)),
    )


def azure(server: Server, _: Path) -> Client:
    """Microsoft's, with as many parts at once as ours."""
    from azure.storage.blob import ContainerClient

    secret = server.secret()
    client = ContainerClient(
        secret["AZURE_STORAGE_ENDPOINT"], "data", {"account_name": buckets.ACCOUNT, "account_key": buckets.ACCOUNT_KEY}
    )

    def put(file: Path, name: str) -> None:
        with file.open("rb") as source:
            client.upload_blob(name, source, overwrite=True, max_concurrency=AT_ONCE)

    def get(name: str, file: Path) -> None:
        with file.open("wb") as sink:
            client.download_blob(name, max_concurrency=AT_ONCE).readinto(sink)

    return in_threads(put, get)


def in_threads(put: Callable[[Path, str], Any], get: Callable[[str, Path], Any]) -> Client:
    """A client of single files, as people use it for several."""

    def put_all(files: Files) -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda name: put(files.folder / name, name), files.names))

    def get_all(files: Files, into: Path) -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(lambda name: get(name, into / name), files.names))

    return Client(put_all, get_all)


OURS = "skipjack"
RIVALS: dict[str, tuple[str, Callable[[Server, Path], Client]]] = {
    "s3": ("boto3", boto),
    "az": ("azure-storage-blob", azure),
}


class Run(NamedTuple):
    seconds: float
    cpu_seconds: float
    peak_mib: float


def transfer(make: Callable[[Server, Path], Client], verb: str, server: Server, files: Files, root: Path) -> Run:
    """In a process of its own, whose imports and whose first connection are not counted."""
    with tempfile.TemporaryDirectory(dir=root) as into:
        client = make(server, root)
        warm = Files(files.folder, ("warm",))
        client.put(warm)
        client.get(warm, Path(into))
        started, used = time.monotonic(), time.process_time()
        if verb == "put":
            client.put(files)
        else:
            client.get(files, Path(into))
        seconds, cpu_seconds = time.monotonic() - started, time.process_time() - used
        return Run(seconds, cpu_seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def compared(server: Server, rounds: int, cases: dict[str, Files], root: Path) -> Iterator[str]:
    """A line for each case and way."""
    rival, make_rival = RIVALS[server.scheme]
    spawn = multiprocessing.get_context("spawn")
    for title, files in cases.items():
        for verb in ("put", "get"):
            runs: dict[str, list[Run]] = {OURS: [], rival: []}
            for _ in range(rounds):
                for name, make in ((OURS, skipjack), (rival, make_rival)):
                    with spawn.Pool(1) as process:
                        runs[name].append(process.apply(transfer, (make, verb, server, files, root)))
            cpu = {name: statistics.median(run.cpu_seconds for run in each) for name, each in runs.items()}
            speeds = {name: files.mib / statistics.median(run.seconds for run in each) for name, each in runs.items()}
            peaks = {name: max(run.peak_mib for run in each) for name, each in runs.items()}
            yield (
                f"| {server.scheme} | {title} | {verb} | {speeds[OURS]:.0f} | {rival} {speeds[rival]:.0f} | "
                f"{speeds[OURS] / speeds[rival]:.2f} | {cpu[OURS]:.2f} | {cpu[rival]:.2f} | {peaks[OURS]:.0f} | {peaks[rival]:.0f} |"
            )


def made(folder: Path, names: list[str], size_bytes: int) -> Files:
    block = os.urandom(min(size_bytes, MIB))
    for name in names:
        with (folder / name).open("wb") as file:
            for _ in range(max(1, size_bytes // len(block))):
                file.write(block)
    return Files(folder, tuple(names))


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--mib", type=int, default=1024)
    asked.add_argument("--files", type=int, default=1000)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--schemes", nargs="*", default=sorted(RIVALS))
    told = asked.parse_args()
    print(
        "| scheme | what | way | MiB/s | rival's MiB/s | ratio | CPU-s | rival's CPU-s | peak MiB | rival's peak MiB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for scheme in told.schemes:
        with tempfile.TemporaryDirectory() as place:
            root = Path(place)
            folder = root / "files"
            folder.mkdir()
            made(folder, ["warm"], SMALL_BYTES)
            with buckets.serving(scheme, root) as server:
                for size in (told.mib // 4, told.mib):
                    cases = {f"one file of {size} MiB": made(folder, ["large"], size * MIB)}
                    print(*compared(server, told.rounds, cases, root), sep="\n", flush=True)
                small = made(folder, [f"small-{number}" for number in range(told.files)], SMALL_BYTES)
                title = f"{told.files} files of {SMALL_BYTES // 1024} KiB"
                print(*compared(server, told.rounds, {title: small}, root), sep="\n", flush=True)


if __name__ == "__main__":
    main()
