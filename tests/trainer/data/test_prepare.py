"""From sources to examples: all is checked first, the first ten faults over all files are told, and lengths are fitted."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.trainer import tiny

from skipjack.protocol import TERMINATION_BYTES_MAX, FailureReason, Result
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.data.prepare import Prepared, prepare
from skipjack_trainer.data.sources import fetch
from skipjack_trainer.errors import ConfigurationInvalid, DataInvalid, DataNotFound
from skipjack_trainer.storage import Access

GOOD = {"prompt": "one", "completion": "two"}


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    place = tmp_path / "claims/data"
    place.mkdir(parents=True)
    return place


def write(place: Path, *rows: Any) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def prepared(claim: Path, *train: str, validation: str | None = None, context: int = 256, **changes: Any) -> Prepared:
    """Of sources below the claim."""
    dataset: dict[str, Any] = {"train": [{"uri": f"pvc://data/{path}"} for path in train]} | changes.pop("dataset", {})
    if validation:
        dataset["validation"] = [{"uri": f"pvc://data/{validation}"}]
    told: ResolvedSpec = tiny.resolved(dataset=dataset, **changes)
    access = Access(claims=claim.parent, scratch=claim.parent.parent / "scratch")
    return prepare(
        told, fetch(told, access), tiny.tokenizer(), replace(tiny.FACTS, context_length=context), access.scratch
    )


def test_a_broken_line_far_down_is_told_in_seconds_before_anything_is_tokenised(claim: Path) -> None:
    good = json.dumps({"messages": tiny.chats(1)[0]["messages"]})
    write(claim / "a.jsonl", *[good] * 69_999, '{"messages": ', *[good] * 30_000)
    begun = time.monotonic()
    with pytest.raises(
        DataInvalid, match=r"^1 bad row, nothing was trained\.\na\.jsonl:70000: not JSON: Expecting value at column 14"
    ):
        prepared(claim, "a.jsonl")
    assert time.monotonic() - begun < 10


def test_the_first_ten_faults_over_all_files_are_told_by_file_and_line_and_fit_the_last_word(claim: Path) -> None:
    bad = {"prompt": "one", "completion": {"ü" * 500: 1}}
    write(claim / "a.jsonl", GOOD, *[bad] * 4)
    write(claim / "b.jsonl", *[GOOD] * 6, *[bad] * 400)
    write(claim / "c.jsonl", bad)
    with pytest.raises(DataInvalid) as caught:
        prepared(claim, "a.jsonl", "b.jsonl", validation="c.jsonl")
    first, *lines = str(caught.value).splitlines()
    assert first == "405 bad rows, nothing was trained. The first 10:"
    places = [f"a.jsonl:{n}" for n in range(2, 6)] + [f"b.jsonl:{n}" for n in range(7, 13)]
    assert [line.partition(": completion")[0] for line in lines] == places
    word = Result(reason=FailureReason.DATA_INVALID, message=str(caught.value)).encode()
    assert len(word.encode()) <= TERMINATION_BYTES_MAX
    assert Result.model_validate_json(word).message == str(caught.value)


def test_faults_that_only_a_template_finds_are_told_by_file_and_line_too(claim: Path) -> None:
    muted = tiny.chats(1)[0]["messages"]
    write(claim / "a.jsonl", tiny.chats(1)[0], {"messages": [muted[0], muted[1] | {"weight": 0}]})
    with pytest.raises(DataInvalid, match=r"a\.jsonl:2: nothing in it is learnt"):
        prepared(claim, "a.jsonl")


@pytest.mark.parametrize(("train", "validation"), [("empty", None), ("full", "empty")])
@pytest.mark.parametrize("content", ["", "\n \n\n"], ids=["empty", "blank"])
def test_a_source_without_a_row_is_told_by_its_address(
    content: str, train: str, validation: str | None, claim: Path
) -> None:
    write(claim / "full.jsonl", GOOD)
    (claim / "empty.jsonl").write_text(content)
    with pytest.raises(DataInvalid, match=r"^pvc://data/empty\.jsonl: there is not one row in it"):
        prepared(claim, f"{train}.jsonl", validation=validation and f"{validation}.jsonl")


def test_a_folder_is_all_its_files_but_hidden_ones_and_no_neighbours(claim: Path) -> None:
    for name in ("rows/a.jsonl", "rows/deep/b.jsonl", "rows/.skipjack/c.jsonl", "rows-old/d.jsonl", "rows/README.md"):
        write(claim / name, GOOD)
    assert prepared(claim, "rows").facts["trainRows"] == 2
    assert prepared(claim, "rows/*.jsonl").facts["trainRows"] == 1
    assert prepared(claim, "*/*.jsonl").facts["trainRows"] == 2


def test_a_folder_without_a_fitting_file_is_told_with_those_there_are(claim: Path) -> None:
    write(claim / "rows/notes.docx", "x")
    with pytest.raises(DataNotFound, match=r"pvc://data/rows: no file fits it.*there are: rows/notes\.docx"):
        prepared(claim, "rows")
    with pytest.raises(DataNotFound, match="there are: none at all"):
        prepared(claim, "nowhere")


def test_a_folder_of_several_kinds_is_not_guessed_at(claim: Path) -> None:
    write(claim / "rows/a.jsonl", GOOD)
    write(claim / "rows/info.json", "{}")
    with pytest.raises(DataInvalid, match=r"several kinds \(\.json, \.jsonl\): say which"):
        prepared(claim, "rows")


def test_what_was_recognised_is_told_back(claim: Path) -> None:
    write(claim / "a.jsonl", GOOD)
    write(claim / "b.csv", "text", "one")
    ready = prepared(claim, "a.jsonl", "b.csv")
    assert {uri: layout.value for uri, layout in ready.layouts.items()} == {
        "pvc://data/a.jsonl": "PromptCompletion",
        "pvc://data/b.csv": "Text",
    }
    (task,) = [value for value in ready.spec.told() if value.field == "task"]
    assert (task.value, task.origin) == ('"Completion"', "told by the data: PromptCompletion, Text")


def test_data_for_several_tasks_is_refused_and_so_is_another_than_the_spec_says(claim: Path) -> None:
    write(claim / "a.jsonl", GOOD)
    write(claim / "b.jsonl", tiny.chats(1)[0])
    with pytest.raises(DataInvalid, match=r"several tasks \(Chat, Completion\)"):
        prepared(claim, "a.jsonl", "b.jsonl")
    with pytest.raises(ConfigurationInvalid, match=r"spec\.task is Chat, the data is for Completion"):
        prepared(claim, "a.jsonl", task="Chat")


LONG = {"prompt": "one", "completion": "the light is red " * 40}


def lengths(claim: Path, overlong: str) -> tuple[list[int], dict[str, int]]:
    write(claim / "a.jsonl", GOOD, LONG, GOOD, LONG)
    changes = {"hyperparameters": {"maxLength": 16, "maxSteps": 1}, "dataset": {"overlong": overlong}}
    ready = prepared(claim, "a.jsonl", **changes)
    return [len(example) for example in ready.train], ready.facts


def test_overlong_rows_are_cut_or_dropped_and_counted(claim: Path) -> None:
    short = lengths(claim, "Drop")[0][0]
    cut, facts = lengths(claim, "Truncate")
    assert cut == [short, 16, short, 16]
    assert (facts["cutRows"], facts["droppedRows"], facts["trainRows"]) == (2, 0, 4)
    kept, facts = lengths(claim, "Drop")
    assert kept == [short, short]
    assert (facts["cutRows"], facts["droppedRows"], facts["trainRows"]) == (0, 2, 2)


def test_overlong_rows_that_are_refused_are_told_by_file_and_line(claim: Path) -> None:
    with pytest.raises(
        DataInvalid, match=r"2 bad rows.*\na\.jsonl:2: has \d+ tokens, maxLength is 16.*\na\.jsonl:4: has"
    ):
        lengths(claim, "Fail")


def test_a_row_of_which_nothing_learnt_is_left_is_dropped_and_one_job_of_those_alone_refused(claim: Path) -> None:
    late = {"prompt": "the light is red " * 40, "completion": "two"}
    changes: dict[str, Any] = {"hyperparameters": {"maxLength": 16, "maxSteps": 1}}
    write(claim / "a.jsonl", GOOD, late)
    assert prepared(claim, "a.jsonl", **changes).facts["droppedRows"] == 1
    write(claim / "a.jsonl", late)
    with pytest.raises(DataInvalid, match="every row is longer than maxLength"):
        prepared(claim, "a.jsonl", **changes)


def test_more_tokens_than_the_model_reads_are_refused_before_it_is_loaded(claim: Path) -> None:
    write(claim / "a.jsonl", LONG)
    with pytest.raises(ConfigurationInvalid, match=r"maxLength is 4096.*the model reads 32: set it to 32 or less"):
        prepared(claim, "a.jsonl", context=32, hyperparameters={"maxLength": 4096, "maxSteps": 1})
    assert max(len(example) for example in prepared(claim, "a.jsonl", context=32).train) == 32


def test_what_is_held_out_is_the_same_each_time_and_never_trained_on(claim: Path) -> None:
    write(claim / "a.jsonl", *[{"prompt": f"light {n}", "completion": "red"} for n in range(40)])
    first, second = (prepared(claim, "a.jsonl", dataset={"validationSplit": "10%"}) for _ in range(2))
    held = [example.place for example in first.validation]
    assert len(held) == 4
    assert held == [example.place for example in second.validation]
    assert not {example.place for example in first.train} & set(held)
    with pytest.raises(DataInvalid, match="40 of 40 rows leaves none to train on"):
        prepared(claim, "a.jsonl", dataset={"validationSplit": "40"})
