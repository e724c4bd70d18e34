"""docs/data.md names every layout by its columns, every field of a dataset and every chat template."""

from __future__ import annotations

from pathlib import Path

from skipjack.api.v1alpha1.dataset import ChatTemplate, Dataset, Source
from skipjack_trainer.data.formats import FORMATS

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text()


def test_the_page_has_every_layout_with_its_columns() -> None:
    rows = [
        f"| {layout.task.value} | `{kind.value}` | {', '.join([*sorted(layout.columns), *map(' or '.join, layout.one_of)])} |"
        for kind, layout in FORMATS.items()
    ]
    assert [row for row in rows if row not in PAGE] == []


def test_the_page_has_every_field_and_every_template() -> None:
    fields = [field.alias or name for model in (Dataset, Source) for name, field in model.model_fields.items()]
    known = [*(field for field in fields if field != "train"), *(template.value for template in ChatTemplate)]
    assert [name for name in known if f"`{name}`" not in PAGE] == []
