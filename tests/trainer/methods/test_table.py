"""Every method on every family: it learns, stock PEFT and transformers load what was stored, and merged it says the same."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from tests.support import tables
from tests.trainer.methods.cells import COLUMNS, Cell, Cells, Column, try_all

from skipjack.api.v1alpha1.method import MethodType

EVERY = [pytest.param(kind, column, id=f"{kind.value}-{column.name}") for kind, column in product(MethodType, COLUMNS)]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Cells:
    return try_all(tmp_path_factory.mktemp("cells"))


@pytest.mark.parametrize(("kind", "column"), EVERY)
def test_it_learns_and_is_what_others_load_and_merge_or_is_refused(
    kind: MethodType, column: Column, cells: Cells
) -> None:
    cell: Cell = cells[kind, column]
    if cell.refused:
        assert cell.refused.startswith(f"method.type: {kind.value} ")
        return
    assert cell.losses[-1] < cell.losses[0]
    assert cell.trained is not None
    assert cell.untouched is not None
    text = cell.untouched.shape[-2]
    assert (cell.trained[..., -text:, :] - cell.untouched).abs().max() > 1e-4
    torch.testing.assert_close(cell.reloaded, cell.trained, rtol=1e-4, atol=1e-5)
    if cell.merged is not None:
        torch.testing.assert_close(cell.merged, cell.trained, rtol=1e-3, atol=1e-4)


def test_the_page_tells_what_was_seen(cells: Cells) -> None:
    told = {(kind.value, column.name): cell.outcome for (kind, column), cell in cells.items()}
    rows, columns = [kind.value for kind in MethodType], [column.name for column in COLUMNS]
    tables.hold("techniques.md", "methods x families", "method", rows, columns, told)
