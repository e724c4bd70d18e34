"""Sources → tables of examples in a folder, every row checked before the first is tokenised."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.finetunejob import RowFormat, Task
from skipjack.resolve import ResolvedSpec

from ..errors import ConfigurationInvalid, DataInvalid
from .check import Checked, Problems, check, interpreted
from .example import Example, Examples
from .formats import RowProblem, task_of
from .read import Broken
from .render import Rendered, Renderer
from .sources import Sources
from .table import NotWhole, read_table, write_table
from .tokenise import tokenised

LAYOUTS = "layouts.json"


def write_examples(spec: ResolvedSpec, sources: Sources, tokenizer: Any, folder: Path) -> None:
    """Writes what `read_examples` reads. Raises DataInvalid with the first ten bad rows, ConfigurationInvalid."""
    train, validation = check(sources)
    layouts = {source.source.told.uri: source.layout for source in (*train, *validation)}
    task_of_all(spec, layouts.values())
    renderer, problems = Renderer(tokenizer, spec.dataset.train_on), Problems()
    for name, some in (("train", train), ("validation", validation)):
        write_table(_good(tokenised(_rendered(some, renderer), tokenizer), problems), folder / name)
    problems.refuse()
    (folder / LAYOUTS).write_text(json.dumps(layouts))


def read_examples(folder: Path) -> tuple[Examples, Examples, dict[str, RowFormat]]:
    """(train, validation, each source's layout by its URI). Raises NotWhole."""
    try:
        layouts = {uri: RowFormat(layout) for uri, layout in json.loads((folder / LAYOUTS).read_text()).items()}
    except (OSError, ValueError) as error:
        raise NotWhole(f"{folder}: {error}") from error
    train, validation = (Examples.all_of(read_table(folder / name)) for name in ("train", "validation"))
    return train, validation, layouts


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


def _rendered(sources: Iterable[Checked], renderer: Renderer) -> Iterator[Rendered | Broken]:
    for place, row in interpreted(sources):
        try:
            yield renderer.render(row, place)
        except RowProblem as problem:
            yield Broken(place, str(problem))


def _good(examples: Iterable[Example | Broken], problems: Problems) -> Iterator[Example]:
    for example in examples:
        if isinstance(example, Broken):
            problems.add(example)
        else:
            yield example
