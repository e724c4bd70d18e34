"""Columns of other names: any layout is read by them, and a name that isn't there is told with those that are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.trainer import tiny
from tests.trainer.data.test_prepare import write

from skipjack_trainer.data.columns import renamed
from skipjack_trainer.data.prepare import Prepared, prepare
from skipjack_trainer.data.sources import fetch
from skipjack_trainer.errors import DataInvalid
from skipjack_trainer.storage import Access


def prepared(tmp_path: Path, columns: dict[str, str], *rows: Any, name: str = "a.jsonl") -> Prepared:
    write(tmp_path / "claims/data" / name, *rows)
    told = tiny.resolved(dataset={"train": [{"uri": f"pvc://data/{name}", "columns": columns}]})
    access = Access(claims=tmp_path / "claims", scratch=tmp_path / "scratch")
    return prepare(told, fetch(told, access), tiny.tokenizer(), tiny.FACTS, access.scratch)


def text(ready: Prepared) -> str:
    words: str = tiny.tokenizer().decode(ready.train[0].input_ids)
    return words


def test_a_layout_is_found_under_other_names(tmp_path: Path) -> None:
    rows = [{"question": "one?", "said": {"by": "me", "answers": {"short": "uno"}}, "id": 7}]
    ready = prepared(tmp_path, {"prompt": "question", "completion": "said.answers.short"}, *rows)
    assert text(ready) == "one?uno<|im_end|>"
    assert [layout.value for layout in ready.layouts.values()] == ["PromptCompletion"]


def test_columns_of_a_csv_may_hold_spaces_and_dots(tmp_path: Path) -> None:
    ready = prepared(
        tmp_path, {"prompt": "The question", "completion": "a.b"}, "The question,a.b", "one?,uno", name="a.csv"
    )
    assert text(ready) == "one?uno<|im_end|>"


def test_what_is_called_otherwise_no_longer_stands_under_its_old_name() -> None:
    row = {"text": "one?", "answer": "uno", "translation": {"en": "x"}, "label": 1, "gone": None}
    assert renamed(row, {"prompt": "text", "completion": "answer", "source": "translation.en", "extra": "gone"}) == {
        "prompt": "one?", "completion": "uno", "source": "x", "label": 1, "extra": None,
    }  # fmt: skip
    swapped = renamed({"prompt": "a", "completion": "b"}, {"prompt": "completion", "completion": "prompt"})
    assert swapped == {"prompt": "b", "completion": "a"}
    assert renamed(row, {}) is row


def test_another_mapping_makes_other_examples_of_the_same_file(tmp_path: Path) -> None:
    row = {"a": "one", "b": "two"}
    first = prepared(tmp_path, {"prompt": "a", "completion": "b"}, row)
    second = prepared(tmp_path, {"prompt": "b", "completion": "a"}, row)
    assert (text(first), text(second)) == ("onetwo<|im_end|>", "twoone<|im_end|>")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"prompt": "questoin", "completion": "answer.short"}, r"a\.jsonl:1: columns\.prompt: expected a column questoin, there are: question, answer\.short"),
        ({"prompt": "question", "completion": "answer.long"}, r"expected a column answer\.long, there are: question, answer\.short, id"),
        ({"prompt": "question", "completion": "question.en"}, r"columns\.completion: expected a column question\.en"),
        ({"prompt": "question", "completion": "answer.short", "tools": "functions"}, r"^pvc://data/a\.jsonl: columns\.tools: expected a column functions"),
    ],
)  # fmt: skip
def test_a_name_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, columns: dict[str, str], words: str
) -> None:
    with pytest.raises(DataInvalid, match=words):
        prepared(tmp_path, columns, {"question": "one?", "answer": {"short": "uno"}, "id": 1})


def test_a_column_that_some_rows_lack_is_no_fault_of_the_mapping(tmp_path: Path) -> None:
    said = tiny.chats(2)
    rows = [{"chat": said[0]["messages"]}, {"chat": said[1]["messages"], "functions": [{"name": "light"}]}]
    assert len(prepared(tmp_path, {"messages": "chat", "tools": "functions"}, *rows).train) == 2
    with pytest.raises(DataInvalid, match=r"a\.jsonl:2: messages: expected a list of messages, found null"):
        prepared(tmp_path, {"messages": "chat"}, rows[0], {"functions": []})
