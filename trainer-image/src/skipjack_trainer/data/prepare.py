"""From sources to examples, everything checked before anything is trained."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.finetunejob import Overlong, RowFormat, Task
from skipjack.resolve import DataFacts, ResolvedSpec, resolve_data
from skipjack.resolve.resolved import ResolvedSource

from ..errors import ConfigurationInvalid, DataInvalid, DataNotFound
from ..storage import Access, open_store
from .example import Example
from .formats import RowProblem, interpret, recognise, task_of
from .read import READERS, Broken, Row, read
from .render import render

SHOWN_PROBLEMS = 10


@dataclass(frozen=True, slots=True)
class Prepared:
    """Examples that are ready to train on, the spec with nothing left open, and what was found."""

    train: Sequence[Example]
    validation: Sequence[Example]
    spec: ResolvedSpec
    facts: dict[str, int]


def prepare(
    spec: ResolvedSpec, tokenizer: Any, access: Access, context_length: int | None, model_can_pack: bool
) -> Prepared:
    """Reads, checks and tokenises every row. Raises DataInvalid with the first ten bad rows, DataNotFound, AccessDenied …"""
    problems: list[Broken] = []
    tasks: set[Task] = set()
    train = _examples(spec.dataset.train, spec, tokenizer, access, problems, tasks)
    validation = _examples(spec.dataset.validation, spec, tokenizer, access, problems, tasks)
    if problems:
        shown = "\n".join(f"{problem.place}: {problem.problem}" for problem in problems[:SHOWN_PROBLEMS])
        raise DataInvalid(
            f"{len(problems)} bad rows, nothing was trained. The first {min(len(problems), SHOWN_PROBLEMS)}:\n{shown}"
        )
    if not train:
        raise DataInvalid(f"{', '.join(source.uri for source in spec.dataset.train)}: there is not one row in it.")
    if len(tasks) > 1:
        raise DataInvalid(
            f"the sources hold data for several tasks ({', '.join(sorted(tasks))}): train one task a job."
        )
    task = tasks.pop()
    if spec.task is not None and spec.task is not task:
        raise ConfigurationInvalid(
            f"spec.task is {spec.task.value}, the data is for {task.value}: change the task or leave it out."
        )
    if spec.dataset.validation_split:
        train, validation = _held_out(train, spec.dataset.validation_split, spec.hyperparameters.seed)

    longest = max(len(example) for example in train)
    total = sum(len(example) for example in train)
    context = min((length for length in (context_length, spec.model.context_length) if length), default=None)
    facts = DataFacts(task, len(train), len(validation), longest, total, context, model_can_pack)
    whole = resolve_data(spec, facts)
    train, cut = fit(train, whole)
    validation, _ = fit(validation, whole)
    if len(train) != facts.train_rows:
        whole = resolve_data(spec, replace(facts, train_rows=len(train)))
    told = {
        "trainRows": len(train),
        "validationRows": len(validation),
        "totalTokens": total,
        "learntTokens": int(sum(float(example.weights.sum()) for example in train)),
        "longestTokens": longest,
        "cutRows": cut,
        "droppedRows": facts.train_rows - len(train),
    }
    return Prepared(train, validation, whole, told)


def fit(examples: Sequence[Example], spec: ResolvedSpec) -> tuple[list[Example], int]:
    """The examples within maxLength, by the rule for overlong ones, and how many were cut. Raises DataInvalid."""
    limit = spec.hyperparameters.max_length
    assert limit is not None, "resolve_data settles it"
    kept: list[Example] = []
    cut = 0
    for position, example in enumerate(examples):
        if len(example) <= limit:
            kept.append(example)
        elif spec.dataset.overlong is Overlong.FAIL:
            raise DataInvalid(
                f"row {position + 1} has {len(example)} tokens, maxLength is {limit}: raise it, or set dataset.overlong to Truncate or Drop."
            )
        elif spec.dataset.overlong is Overlong.TRUNCATE and example.weights[:limit].any():
            kept.append(Example(example.input_ids[:limit], example.weights[:limit]))
            cut += 1
    if examples and not kept:
        raise DataInvalid(
            f"every row is longer than maxLength ({limit} tokens) and nothing of what is learnt is left: raise it."
        )
    return kept, cut


def _examples(
    sources: Iterable[ResolvedSource],
    spec: ResolvedSpec,
    tokenizer: Any,
    access: Access,
    problems: list[Broken],
    tasks: set[Task],
) -> list[Example]:
    examples = []
    for source in sources:
        chosen = source.format
        for row in _rows(source, access):
            if isinstance(row, Broken):
                problems.append(row)
                continue
            chosen = chosen or recognise(set(row.values), row.place)
            tasks.add(task_of(chosen))
            try:
                examples.append(_example(row, chosen, tokenizer, spec))
            except RowProblem as problem:
                problems.append(Broken(row.place, str(problem)))
    return examples


def _example(row: Row, chosen: RowFormat, tokenizer: Any, spec: ResolvedSpec) -> Example:
    return render(interpret(chosen, row.values), tokenizer, spec.dataset.train_on)


def _rows(source: ResolvedSource, access: Access) -> Iterator[Row | Broken]:
    for path, name in _files(source.uri, access):
        yield from read(path, name)


def _files(uri: str, access: Access) -> list[tuple[Path, str]]:
    """The files that `uri` names, on this machine, each with the name that messages call it by."""
    located = open_store(uri, access)
    into = access.scratch / "data"
    into.mkdir(parents=True, exist_ok=True)
    wanted = [located.path]
    if "*" in located.path or not Path(located.path.removesuffix(".gz")).suffix:
        prefix = located.path.partition("*")[0] if "*" in located.path else located.path
        pattern = located.path if "*" in located.path else f"{located.path}*"
        known = [entry.path for entry in located.store.list(prefix.rpartition("/")[0])]
        wanted = [path for path in known if fnmatch(path, pattern) and Path(path.removesuffix(".gz")).suffix in READERS]
        if not wanted:
            raise DataNotFound(f"{uri}: no file fits it; there are {', '.join(known[:20]) or 'none at all'}.")
    return [(located.store.local(path) or located.store.get(path, into), path.rpartition("/")[2]) for path in wanted]


def _held_out(examples: list[Example], share: str, seed: int) -> tuple[list[Example], list[Example]]:
    """(train, validation), disjoint, drawn by `seed`. Raises DataInvalid when nothing would be left to train on."""
    count = max(1, round(len(examples) * int(share[:-1]) / 100)) if share.endswith("%") else int(share)
    if count >= len(examples):
        raise DataInvalid(
            f"dataset.validationSplit: {share} of {len(examples)} rows leaves none to train on: hold out fewer."
        )
    chosen = set(random.Random(seed).sample(range(len(examples)), count))
    train = [example for position, example in enumerate(examples) if position not in chosen]
    return train, [examples[position] for position in sorted(chosen)]
