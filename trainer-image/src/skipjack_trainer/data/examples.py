"""Sources → tables of examples in a folder, every row checked before the first is tokenised."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.choices import OWN

from ..errors import ConfigurationInvalid, DataInvalid
from ..shape import ModelFacts, Shape
from .asked import ASKED
from .check import CheckedSource, Problems, check, interpreted, rows_of
from .class_weights import class_weights
from .example import Example, Examples
from .formats import task_of
from .read import Broken
from .sample import sampled, taken
from .sources import Sources
from .table import NotWhole, read_table, write_table
from .writers import Writing, writer_of

FOUND = "found.json"
TABLES = ("train", "validation")


@dataclass(frozen=True, slots=True)
class Written:
    """What a folder of tables holds."""

    train: Examples
    validation: Examples
    task: Task
    layouts: dict[str, RowFormat]
    """Of each source, by its URI."""
    labels: tuple[str, ...]
    drawn_from: int | None
    """Rows that train's were drawn from, where not all were taken."""


def write_examples(spec: ResolvedSpec, sources: Sources, tokenizer: Any, model: ModelFacts, folder: Path) -> None:
    """Writes what `read_examples` reads. Raises DataInvalid with the first ten bad rows, ConfigurationInvalid."""
    checked = check(spec, sources)
    task = task_of_all(spec, checked.layouts.values())
    _refuse_idle(spec, task, model)
    _refuse_mixed(checked.layouts)
    writer, weights = writer_of(task, model.shape), class_weights(spec, task, checked)
    writing, problems = Writing(spec, tokenizer, model, checked.labels, weights), Problems()
    words = 1 + max(tokenizer.get_vocab().values())
    rows: dict[str, tuple[int, ...]] = {}
    train = sampled(spec, sources, checked.train)
    for name, some in zip(TABLES, (train, checked.validation), strict=True):
        # Source by source, so that each one's examples can be told apart whatever a writer makes of rows.
        each = (
            _good(writer.write(writing, _rows(spec, source, number)), problems) for number, source in enumerate(some)
        )
        rows[name] = write_table(each, folder / name, words)
    problems.refuse()
    found = {"layouts": checked.layouts, "labels": checked.labels, "rows": rows}
    if any(source.sample is not None for source in train):
        found["drawn_from"] = sum(source.rows for source in train)
    (folder / FOUND).write_text(json.dumps(found))


def _rows(spec: ResolvedSpec, source: CheckedSource, number: int) -> Iterator[tuple[str, Any]]:
    rows = taken(rows_of(source.source), source, spec.hyperparameters.seed, number)
    return interpreted(source, rows, spec.dataset.labels)


def read_examples(spec: ResolvedSpec, model: ModelFacts, folder: Path) -> Written:
    """Raises NotWhole, ConfigurationInvalid."""
    try:
        found = json.loads((folder / FOUND).read_text())
        layouts = {uri: RowFormat(layout) for uri, layout in found["layouts"].items()}
        labels, rows = tuple(found["labels"]), {name: tuple(found["rows"][name]) for name in TABLES}
    except (OSError, ValueError, KeyError) as error:
        raise NotWhole(f"{folder}: {error}") from error
    task = task_of_all(spec, layouts.values())
    cut = writer_of(task, model.shape).cut
    tables = {name: replace(read_table(folder / name), rows_of_sources=rows[name]) for name in TABLES}
    if any(sum(rows[name]) != len(table) for name, table in tables.items()):
        raise NotWhole(f"{folder}: its sources have other rows than its tables.")
    train, validation = (Examples.all_of(tables[name], cut) for name in TABLES)
    return Written(train, validation, task, layouts, labels, found.get("drawn_from"))


def task_of_all(spec: ResolvedSpec, layouts: Iterable[RowFormat]) -> Task:
    """What rows of these layouts are for. Raises DataInvalid, ConfigurationInvalid when the spec says otherwise."""
    tasks = {task_of(layout) for layout in layouts}
    if len(tasks) > 1:
        raise DataInvalid(
            f"the sources hold data for several tasks ({', '.join(sorted(tasks))}): train one task a job."
        )
    task = tasks.pop()
    if spec.task is not None and spec.task is not task:
        raise ConfigurationInvalid(
            f"spec.task is {spec.task.value}, the data is for {task.value}: change the task or leave it out."
        )
    return task


def _refuse_idle(spec: ResolvedSpec, task: Task, model: ModelFacts) -> None:
    """Raises ConfigurationInvalid for what the spec says and this task has no use for."""
    encodes = model.shape is Shape.ENCODER
    if spec.dataset.instruction is not None and (task not in ASKED or encodes):
        raise ConfigurationInvalid(
            f"dataset.instruction: it stands before translations and questions that a model answers in its own words; here {model.shape.value} "
            f"learns {task.value}: remove it."
        )
    if spec.origins.get("dataset.stride") == OWN and not (task is Task.QUESTION_ANSWERING and encodes):
        raise ConfigurationInvalid(
            f"dataset.stride: windows are what an encoder reads long contexts in to answer questions; here {model.shape.value} learns "
            f"{task.value}: remove it."
        )


def _refuse_mixed(layouts: Mapping[str, RowFormat]) -> None:
    """Raises DataInvalid where some sources hold pairs of answers and others single ones: no loss learns from both."""
    judged = [title for title, layout in layouts.items() if layout is RowFormat.PROMPT_COMPLETION_LABEL]
    others = [title for title in layouts if title not in judged]
    if judged and others:
        raise DataInvalid(
            f"{judged[0]}: its rows are single answers with a label, those of {others[0]} are pairs of answers: train on one kind."
        )


def _good(examples: Iterable[Example | Broken], problems: Problems) -> Iterator[Example]:
    """What is broken goes to `problems`."""
    for example in examples:
        if isinstance(example, Broken):
            problems.add(example)
        else:
            yield example
