"""From files to examples, everything checked before anything is trained."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from skipjack.api.v1alpha1.finetunejob import Overlong, RowFormat, Task
from skipjack.resolve import DataFacts, ResolvedSpec, resolve_data

from ..errors import ConfigurationInvalid, DataInvalid
from .check import Checked, Problems, check, interpreted
from .example import Example
from .formats import RowProblem
from .read import Broken
from .render import render
from .sources import Sources


@dataclass(frozen=True, slots=True)
class Prepared:
    """Examples that are ready to train on, the spec with nothing left open, and what was found."""

    train: Sequence[Example]
    validation: Sequence[Example]
    spec: ResolvedSpec
    facts: dict[str, int]
    layouts: dict[str, RowFormat]
    """Of each source, by its URI."""


def prepare(
    spec: ResolvedSpec, sources: Sources, tokenizer: Any, context_length: int | None, model_can_pack: bool
) -> Prepared:
    """Checks and tokenises every row. Raises DataInvalid with the first ten bad rows, ConfigurationInvalid."""
    checked_train, checked_validation = check(sources)
    checked = [*checked_train, *checked_validation]
    task = _task(spec, checked)
    layouts = tuple(sorted({source.layout.value for source in checked}))
    problems = Problems()
    train = _examples(checked_train, spec, tokenizer, problems)
    validation = _examples(checked_validation, spec, tokenizer, problems)
    problems.refuse()
    if spec.dataset.validation_split:
        train, validation = _held_out(train, spec.dataset.validation_split, spec.hyperparameters.seed)

    longest = max(len(example) for example in train)
    total = sum(len(example) for example in train)
    context = min((length for length in (context_length, spec.model.context_length) if length), default=None)
    facts = DataFacts(task, len(train), len(validation), longest, total, context, model_can_pack, layouts)
    whole = resolve_data(spec, facts)
    _refuse_beyond(context, longest, whole)
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
    return Prepared(train, validation, whole, told, {source.source.told.uri: source.layout for source in checked})


def _refuse_beyond(context: int | None, longest: int, spec: ResolvedSpec) -> None:
    """Raises ConfigurationInvalid when examples would be longer than the model can read."""
    limit = spec.hyperparameters.max_length
    if context and limit and min(limit, longest) > context:
        raise ConfigurationInvalid(
            f"hyperparameters.maxLength is {limit}, an example has {longest} tokens, the model reads {context}: set it to {context} or less."
        )


def fit(examples: Sequence[Example], spec: ResolvedSpec) -> tuple[list[Example], int]:
    """The examples within maxLength, by the rule for overlong ones, and how many were cut. Raises DataInvalid."""
    limit = spec.hyperparameters.max_length
    assert limit is not None, "resolve_data settles it"
    problems = Problems()
    kept: list[Example] = []
    cut = 0
    for example in examples:
        if len(example) <= limit:
            kept.append(example)
        elif spec.dataset.overlong is Overlong.FAIL:
            told = f"has {len(example)} tokens, maxLength is {limit}: raise it, or set dataset.overlong to Truncate or Drop"
            problems.add(Broken(example.place, told))
        elif spec.dataset.overlong is Overlong.TRUNCATE and example.weights[:limit].any():
            kept.append(replace(example, input_ids=example.input_ids[:limit], weights=example.weights[:limit]))
            cut += 1
    problems.refuse()
    if examples and not kept:
        raise DataInvalid(
            f"every row is longer than maxLength ({limit} tokens) and nothing of what is learnt is left: raise it."
        )
    return kept, cut


def _task(spec: ResolvedSpec, sources: Iterable[Checked]) -> Task:
    tasks = {source.task for source in sources}
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


def _examples(sources: Iterable[Checked], spec: ResolvedSpec, tokenizer: Any, problems: Problems) -> list[Example]:
    examples = []
    for place, row in interpreted(sources):
        try:
            examples.append(render(row, tokenizer, spec.dataset.train_on, place))
        except RowProblem as problem:
            problems.add(Broken(place, str(problem)))
    return examples


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
