"""Reads what `wandb sync` reads: a run's file, records in LevelDB's log format (github.com/google/leveldb, doc/log_format.md)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK_BYTES = 32768
HEADER = struct.Struct("<IHB")
"""Checksum, length, kind."""
FULL, LAST = 1, 4
MAGIC_BYTES = 7


def records(file: Path) -> Iterator[Any]:
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), MAGIC_BYTES, b""
    assert data.startswith(b":W&B")
    while at < len(data):
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < HEADER.size:
            at += left
            continue
        _, length, kind = HEADER.unpack_from(data, at)
        at += HEADER.size + length
        whole += data[at - length : at]
        if kind in (FULL, LAST):
            yield Record.FromString(whole)
            whole = b""
