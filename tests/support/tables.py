"""Tables in docs/ that tests write: what stands on the page is what was seen to happen, or the test fails."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
WRITE = "SKIPJACK_WRITE_DOCS"


def hold(
    page: str,
    name: str,
    corner: str,
    rows: Sequence[str],
    columns: Sequence[str],
    cells: Mapping[tuple[str, str], str],
    measured: Collection[str] = (),
) -> None:
    """The table `name` on docs/`page` says what `cells` says of each (row, column). With SKIPJACK_WRITE_DOCS set it is written.

    It stands between `<!-- name -->` and `<!-- /name -->`. Columns that are `measured` differ from run to run: they are written, and not
    compared. Raises AssertionError where it differs, KeyError where a cell was not seen.
    """
    lines = [[corner, *columns], ["---"] * (len(columns) + 1)]
    lines += [[row, *(cells[row, column] for column in columns)] for row in rows]
    place = DOCS / page
    text = place.read_text()
    begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    assert found, f"docs/{page} has no {begin.strip()}"
    stands, found, after = rest.partition(end)
    assert found, f"docs/{page} has no {end.strip()}"
    if os.environ.get(WRITE):
        place.write_text(before + begin + "\n".join(f"| {' | '.join(line)} |" for line in lines) + end + after)
        return
    compared = [place for place, column in enumerate([corner, *columns]) if column not in measured]
    there = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in stands.splitlines()]
    assert [[line[place] for place in compared] for line in there if len(line) > max(compared)] == [
        [line[place] for place in compared] for line in lines
    ], f"docs/{page} says otherwise than what was seen: run the test with {WRITE}=1 and read the difference"
