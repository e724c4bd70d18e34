"""A line between a client and a server that breaks as a test tells it to."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum

BLOCK_BYTES = 1 << 16
HANG_UP_NOISILY = struct.pack("ii", 1, 0)
"""SO_LINGER of no time at all: closing then sends a reset."""


class End(Enum):
    """How a connection ends."""

    CLOSE = "close"
    RESET = "reset"
    STALL = "stall"


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one connection."""

    down_bytes: int | None = None
    """So much of what the server says comes through; None: all."""
    up_bytes: int | None = None
    """So much of what the client says comes through; None: all."""
    end: End = End.CLOSE
    answer: bytes | None = None
    """What the client gets in the server's stead, as soon as it speaks."""


FINE = Fault()


def refusal(status: int, code: str) -> Fault:
    """An answer as object stores give it."""
    body = f"<Error><Code>{code}</Code><Message>as told</Message></Error>"
    head = f"HTTP/1.1 {status} No\r\nConnection: close\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}"
    return Fault(answer=f"{head}\r\n\r\n{body}".encode())


@dataclass
class Line:
    """The proxy: `fault` is asked what becomes of each connection, by its number."""

    target: tuple[str, int]
    fault: Callable[[int], Fault]
    listener: socket.socket
    connections: int = 0
    down_bytes: int = 0
    """All that the server said."""
    cut: int = 0
    """Times that a limit was reached."""
    open: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        number: int = self.listener.getsockname()[1]
        return number

    def accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.open.append(client)
                fault = self.fault(self.connections)
                self.connections += 1
                threading.Thread(target=self.connect, args=(client, fault), daemon=True).start()

    def connect(self, client: socket.socket, fault: Fault) -> None:
        if fault.answer is not None:
            with suppress(OSError):
                client.recv(BLOCK_BYTES)
                client.sendall(fault.answer)
                drained(client)
            client.close()
            return
        server = socket.create_connection(self.target)
        self.open.append(server)
        ways = ((client, server, fault.up_bytes), (server, client, fault.down_bytes))
        for source, sink, limit in ways:
            threading.Thread(target=self.carry, args=(source, sink, limit, fault.end), daemon=True).start()

    def carry(self, source: socket.socket, sink: socket.socket, limit: int | None, end: End) -> None:
        """What `source` says goes to `sink`, until `limit` bytes of it did."""
        left = limit
        with suppress(OSError):
            while left is None or left > 0:
                block = source.recv(BLOCK_BYTES if left is None else min(BLOCK_BYTES, left))
                if not block:
                    break
                sink.sendall(block)
                left = None if left is None else left - len(block)
                if source.getpeername() == self.target:
                    self.down_bytes += len(block)
        self.cut += left == 0
        if left == 0 and end is End.STALL:
            return
        for side in (source, sink):
            with suppress(OSError):
                if left == 0 and end is End.RESET:
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, HANG_UP_NOISILY)
                    # Wakes the thread that reads from it, without which it is not closed.
                    side.shutdown(socket.SHUT_RD)
                else:
                    side.shutdown(socket.SHUT_RDWR)
                side.close()


def drained(client: socket.socket) -> None:
    """Reads what the client still says, so that closing doesn't take back the answer."""
    client.shutdown(socket.SHUT_WR)
    client.settimeout(1)
    deadline = time.monotonic() + 1
    while client.recv(BLOCK_BYTES) and time.monotonic() < deadline:
        pass


@contextmanager
def line(port: int, fault: Callable[[int], Fault]) -> Iterator[Line]:
    """A line to the server at `port` of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    made = Line(("127.0.0.1", port), fault, listener)
    threading.Thread(target=made.accept, daemon=True).start()
    try:
        yield made
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for side in made.open:
            side.close()
