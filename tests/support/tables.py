"""Tables in docs/ that tests write: what stands on the page is what was seen to happen, or the test fails."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
WRITE = "SKIPJACK_WRITE_DOCS"


def hold(
    page: str, name: str, corner: str, rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], str]
) -> None:
    """The table `name` on docs/`page` says what `cells` says of each (row, column). With SKIPJACK_WRITE_DOCS set it is written.

    It stands between `<!-- name -->` and `<!-- /name -->`. Raises AssertionError where it differs, KeyError where a cell was not seen.
    """
    lines = [" | ".join([corner, *columns]), " | ".join(["---"] * (len(columns) + 1))]
    lines += [" | ".join([row, *(cells[row, column] for column in columns)]) for row in rows]
    table = "\n".join(f"| {line} |" for line in lines)
    place = DOCS / page
    text = place.read_text()
    begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    before, found, rest = text.partition(begin)
    assert found, f"docs/{page} has no {begin.strip()}"
    stands, found, after = rest.partition(end)
    assert found, f"docs/{page} has no {end.strip()}"
    if os.environ.get(WRITE):
        place.write_text(before + begin + table + end + after)
        return
    assert stands == table, (
        f"docs/{page} says otherwise than what was seen: run the test with {WRITE}=1 and read the difference"
    )
