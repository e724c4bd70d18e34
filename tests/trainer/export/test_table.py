"""Forms × kinds of models: docs/exports.md says what was seen."""

from __future__ import annotations

from pathlib import Path

from tests.support.tables import hold
from tests.trainer.export.cells import FORMS, ROWS, outcome, whole_of


def test_every_form_of_every_kind_of_model_says_what_the_model_says(tmp_path: Path) -> None:
    cells = {}
    for row in ROWS:
        whole = whole_of(row, tmp_path / row.name)
        cells |= {(row.name, form.title): outcome(whole, form, tmp_path / "form") for form in FORMS}
    hold("exports.md", "forms x models", "model", [row.name for row in ROWS], [form.title for form in FORMS], cells)
