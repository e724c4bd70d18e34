"""Steps that are seen to be alive, caches keyed by their inputs, and processes that are known by their ids."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(
    os.environ.get("SKIPJACK_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skipjack"
)
RUN = CACHE / "run"
LOGS = RUN / "logs"
PIDS = RUN / "pids"
GRACE_SECONDS = 15


class Failed(Exception):
    """A step that went wrong; says what to look at."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Says what is being done, and how long it took."""
    print(f"cluster: {title} …", flush=True)
    started = time.monotonic()
    yield
    print(f"cluster: {title}: {time.monotonic() - started:.1f} s", flush=True)


def sh(
    *command: str | Path,
    log: str | None = None,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """What the command wrote; with `log`, into that file. Raises Failed with its last lines."""
    LOGS.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        env=os.environ | (env or {}),
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if log:
        (LOGS / f"{log}.log").write_text(done.stdout)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise Failed(f"{' '.join(words)[:200]} ended with {done.returncode}:\n{tail}")
    return done.stdout


def key(*inputs: Path) -> str:
    """A hash over files, and over the files of folders, by name and content."""
    total = hashlib.sha256()
    for file in sorted(file for path in inputs for file in files(path)):
        total.update(f"{file.relative_to(ROOT)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()[:16]


def files(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return [file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts]


def wait(what: str, holds: Callable[[], bool], seconds: float = 90) -> None:
    """Until `holds`. Raises Failed after the time-out."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not after {seconds:.0f} s; logs are in {LOGS}")
        time.sleep(0.2)


def alive(name: str) -> bool:
    """Whether the process that was started as `name` runs, and is that very one (ids are used again)."""
    try:
        number, born = (PIDS / name).read_text().split()
    except (FileNotFoundError, ValueError):
        return False
    return birth(int(number)) == born


def birth(number: int) -> str | None:
    """When a process began, in clock ticks since boot; None when it is gone or a zombie."""
    try:
        fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def processes() -> dict[str, bool]:
    """Every process that `spawn` noted, by name, and whether it runs."""
    return {file.name: alive(file.name) for file in sorted(PIDS.iterdir())} if PIDS.exists() else {}


def spawn(name: str, *command: str | Path, env: dict[str, str] | None = None) -> None:
    """Starts a process of its own session, unless it runs already."""
    if alive(name):
        return
    LOGS.mkdir(parents=True, exist_ok=True)
    PIDS.mkdir(parents=True, exist_ok=True)
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | (env or {}),
            cwd="/",
        )
    (PIDS / name).write_text(f"{process.pid} {birth(process.pid)}")


def end(name: str) -> None:
    """Ends a process that `spawn` started, kindly, then not."""
    if alive(name):
        number = int((PIDS / name).read_text().split()[0])
        os.kill(number, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while alive(name):
            if time.monotonic() > deadline:
                os.kill(number, signal.SIGKILL)
                time.sleep(0.3)
            reap(number)
            time.sleep(0.1)
    (PIDS / name).unlink(missing_ok=True)


def reap(number: int) -> None:
    """Takes the exit status of a child of this process; of another's there is none to take."""
    try:
        os.waitpid(number, os.WNOHANG)
    except ChildProcessError:
        return
