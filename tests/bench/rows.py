"""Generated rows of any number of bytes, the same for the same seed: `python -m tests.bench.rows KIND BYTES FILE`."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
import sys
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

WORDS = re.findall(
    r"\S+",
    "the crane stands at pier three until noon and nobody may pass below its hook while it lifts what came by sea; ask Mara "
    "for the key of the gate, who writes down each ship, its captain and what it brings: timber, salt, oil or tar",
)
SEED = 1
SENTENCES = 5_000
"""Made once: what is drawn from them differs in every row."""


def chats() -> Iterator[dict[str, Any]]:
    """Two questions and answers, some 1,600 bytes a row."""
    said = _sentences()
    drawn = random.Random(SEED + 1)

    def words(sentences: int) -> str:
        return " ".join(drawn.choices(said, k=sentences))

    for number in range(sys.maxsize):
        turns = (
            ("user", f"{number}: {words(2)}"),
            ("assistant", words(8)),
            ("user", words(2)),
            ("assistant", words(8)),
        )
        yield {"messages": [{"role": role, "content": content} for role, content in turns]}


def short() -> Iterator[dict[str, str]]:
    """A few words and their class, some 60 bytes a row: of these there are the most."""
    drawn = random.Random(SEED)
    for number in range(sys.maxsize):
        yield {"text": f"{number} {drawn.choice(WORDS)} {drawn.choice(WORDS)}", "label": drawn.choice(("sea", "land"))}


def _sentences() -> list[str]:
    drawn = random.Random(SEED)
    return [" ".join(drawn.choices(WORDS, k=drawn.randint(6, 20))) for _ in range(SENTENCES)]


ROWS: dict[str, Callable[[], Iterator[dict[str, Any]]]] = {"chats": chats, "short": short}


def write(kind: str, size_bytes: int, file: Path) -> int:
    """Writes rows of so many bytes as JSON lines in the way that the file's ending says; how many they are."""
    rows, left = ROWS[kind](), [size_bytes]

    def has_room(row: dict[str, Any]) -> bool:
        left[0] -= len(json.dumps(row)) + 1
        return left[0] > 0

    return WAYS["".join(file.suffixes)](takewhile(has_room, rows), file)


def _lines(rows: Iterator[dict[str, Any]], file: Path) -> int:
    with gzip.open(file, "wt", 1) if file.suffix == ".gz" else file.open("w") as sink:
        return sum(bool(sink.write(json.dumps(row) + "\n")) for row in rows)


def _list(rows: Iterator[dict[str, Any]], file: Path) -> int:
    with file.open("w") as sink:
        sink.write("[")
        count = sum(bool(sink.write((",\n" if number else "") + json.dumps(row))) for number, row in enumerate(rows))
        sink.write("]")
    return count


def _csv(rows: Iterator[dict[str, Any]], file: Path) -> int:
    """Lists as JSON text, the only way that CSV holds them."""
    with file.open("w", newline="") as sink:
        writer, count = csv.writer(sink), 0
        for count, row in enumerate(rows, 1):
            if count == 1:
                writer.writerow(row)
            writer.writerow(value if isinstance(value, str) else json.dumps(value) for value in row.values())
    return count


def _parquet(rows: Iterator[dict[str, Any]], file: Path) -> int:
    import pyarrow
    import pyarrow.parquet

    count, writer = 0, None
    while some := [row for _, row in zip(range(10_000), rows, strict=False)]:
        table = pyarrow.Table.from_pylist(some)
        writer = writer or pyarrow.parquet.ParquetWriter(file, table.schema)
        writer.write_table(table)
        count += len(some)
    if writer:
        writer.close()
    return count


WAYS: dict[str, Callable[[Iterator[dict[str, Any]], Path], int]] = {
    ".jsonl": _lines, ".jsonl.gz": _lines, ".json": _list, ".csv": _csv, ".parquet": _parquet,
}  # fmt: skip


if __name__ == "__main__":
    print(write(sys.argv[1], int(float(sys.argv[2])), Path(sys.argv[3])), "rows")
