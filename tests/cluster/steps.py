"""Steps that are seen to be alive, caches keyed by their inputs, and processes that are known by their ids."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(
    os.environ.get("SKIPJACK_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "skipjack"
)
RUN = CACHE / "run"
LOGS = RUN / "logs"
PIDS = RUN / "pids"
GRACE_SECONDS = 15
NOTE_AND_RUN = 'echo "$$ $(cut -d" " -f22 "/proc/$$/stat")" > "$0" && exec "$@"'
"""A shell that notes its id and birth into the file $0 and becomes the command: whoever is killed when, none runs unnoted."""


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
    """What the command answered; with `log`, all that it wrote goes into that file. Raises Failed with its last lines."""
    LOGS.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    done = subprocess.run(
        words,
        cwd=cwd,
        env=os.environ | (env or {}),
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    written = done.stdout + done.stderr
    if log:
        (LOGS / f"{log}.log").write_text(written)
    if done.returncode:
        tail = "\n".join(written.splitlines()[-25:])
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
        time.sleep(0.05)


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
    """Starts a process of its own session, unless it runs already. Raises Failed when it ends at once."""
    if alive(name):
        return
    LOGS.mkdir(parents=True, exist_ok=True)
    PIDS.mkdir(parents=True, exist_ok=True)
    (PIDS / name).unlink(missing_ok=True)
    with (LOGS / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            ["sh", "-c", NOTE_AND_RUN, str(PIDS / name), *(str(word) for word in command)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | (env or {}),
            cwd="/",
        )
    wait(f"{name} runs", lambda: alive(name) or process.poll() is not None)
    if process.poll() is not None:
        raise Failed(f"{name} ended with {process.returncode} as soon as it was started: see {LOGS}/{name}.log")


def end(name: str, grace_seconds: float = GRACE_SECONDS) -> None:
    """Ends a process that `spawn` started, kindly, then not."""
    kill(name, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while alive(name):
        if time.monotonic() > deadline:
            kill(name, signal.SIGKILL)
        time.sleep(0.1)
    (PIDS / name).unlink(missing_ok=True)


def kill(name: str, how: signal.Signals) -> None:
    """Sends a signal to a process that `spawn` started, if it still runs."""
    if alive(name):
        with suppress(ProcessLookupError):
            os.kill(int((PIDS / name).read_text().split()[0]), how)


def write(place: Path, value: dict[str, Any]) -> Path:
    """A configuration file; JSON is YAML too."""
    text = json.dumps(value, indent=1)
    # Untouched when it says that already: kube-proxy ends itself when its file is written to.
    if not place.exists() or place.read_text() != text:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    return place


def listens(place: Path) -> bool:
    """Whether a process accepts connections there: a socket's file outlives its process."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(place))
        except OSError:
            return False
    return True
