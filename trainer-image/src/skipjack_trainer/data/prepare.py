"""From files to examples, everything checked before anything is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skipjack.api.v1alpha1.dataset import Overlong, RowFormat
from skipjack.mixture import Mixture
from skipjack.resolve import DataFacts, ResolvedSpec, SpecRefused, refuse_foreign, resolve_data

from ..errors import ConfigurationInvalid, DataInvalid
from ..shape import ModelFacts
from .check import Problems
from .example import Examples
from .examples import Written, read_examples, write_examples
from .keep import kept, key_of
from .mix import Part, facts_of, mixture_of, parts_of, refuse_unseen
from .read import Broken
from .shuffle import Draw, shuffle
from .sources import Sources
from .templates import HOLD_CHATS
from .writers import writer_of


@dataclass(frozen=True, slots=True)
class Prepared:
    """Examples that are ready to train on, the spec with nothing left open, and what was found."""

    train: Examples
    validation: Examples
    spec: ResolvedSpec
    facts: dict[str, int]
    layouts: dict[str, RowFormat]
    """Of each source, by its title."""
    labels: tuple[str, ...] = ()
    """Of a task that has them; the place of each is its number."""
    mixture: Mixture | None = None
    """How often the training examples are seen; None: each once an epoch."""
    parts: tuple[Part, ...] = ()
    """What each of several training sources gives."""


def prepare(spec: ResolvedSpec, sources: Sources, tokenizer: Any, model: ModelFacts, scratch: Path) -> Prepared:
    """Checks and tokenises every row, or finds that it was done. Raises DataInvalid with the first ten bad rows, ConfigurationInvalid."""

    def load(folder: Path) -> Written:
        return read_examples(spec, model, folder)

    def make(folder: Path) -> None:
        write_examples(spec, sources, tokenizer, model, folder)

    written = kept(scratch / "prepared", key_of(spec, sources, tokenizer, model), load, make)
    if spec.dataset.chat_template and written.task not in HOLD_CHATS:
        raise ConfigurationInvalid(f"dataset.chatTemplate: rows for {written.task.value} are no chats: leave it out.")
    train, validation = written.train, written.validation
    if spec.dataset.validation_split:
        train, validation = _held_out(train, spec.dataset.validation_split, spec.hyperparameters.seed)

    try:
        refuse_foreign(spec, written.task)
    except SpecRefused as error:
        raise ConfigurationInvalid(error.message) from error
    longest, total = train.longest_of_all, train.tokens
    context = min((length for length in (model.context_length, spec.model.context_length) if length), default=None)
    layouts = tuple(sorted({layout.value for layout in written.layouts.values()}))
    facts = DataFacts(
        written.task,
        len(train),
        len(validation),
        longest,
        total,
        context,
        model.can_pack,
        layouts,
        mixture_of(train, spec),
        (spec.dataset.resolution or model.picture.resolution) if model.picture else None,
    )
    whole = resolve_data(spec, facts)
    _refuse_beyond(context, longest, whole)
    train, cut = fit(train, whole)
    validation, _ = fit(validation, whole)
    judge = writer_of(written.task, model.shape).judge
    judge(whole, train, "train")
    judge(whole, validation, "validation")
    if len(train) != facts.train_rows:
        whole = resolve_data(spec, replace(facts, train_rows=len(train), mixture=mixture_of(train, spec)))
    mixture, parts = mixture_of(train, whole), parts_of(train, whole)
    refuse_unseen(mixture, whole)
    told = {
        "trainRows": len(train),
        "validationRows": len(validation),
        "totalTokens": total,
        "learntTokens": int(train.learnt_tokens()),
        "longestTokens": longest,
        "cutRows": cut,
        "droppedRows": facts.train_rows - len(train),
    } | facts_of(parts)
    if written.drawn_from is not None:
        told["drawnFromRows"] = written.drawn_from
    return Prepared(train, validation, whole, told, written.layouts, written.labels, mixture, parts)


def _refuse_beyond(context: int | None, longest: int, spec: ResolvedSpec) -> None:
    """Raises ConfigurationInvalid when examples would be longer than the model can read."""
    limit = spec.hyperparameters.max_length
    if context and limit and min(limit, longest) > context:
        raise ConfigurationInvalid(
            f"hyperparameters.maxLength is {limit}, an example has {longest} tokens, the model reads {context}: set it to {context} or less."
        )


def fit(examples: Examples, spec: ResolvedSpec) -> tuple[Examples, int]:
    """The examples within maxLength, by the rule for overlong ones, and how many were cut. Raises DataInvalid."""
    limit = spec.hyperparameters.max_length
    assert limit is not None, "resolve_data settles it"

    def is_kept(part: Examples) -> NDArray[np.bool_]:
        longest = part.longest
        kept = longest <= limit
        if spec.dataset.overlong is Overlong.TRUNCATE:
            for index in np.flatnonzero(~kept).tolist():
                kept[index] = part[index].weights.any()
        return kept

    within = examples.within(limit)
    if spec.dataset.overlong is Overlong.FAIL:
        _refuse_overlong(within, limit)
    kept = within.only(is_kept)
    if len(examples) and not len(kept):
        raise DataInvalid(
            f"every row is longer than maxLength ({limit} tokens) and nothing of what is learnt is left: raise it."
        )
    return kept, sum(int((part.longest > limit).sum()) for part in kept.parts())


def _refuse_overlong(examples: Examples, limit: int) -> None:
    """Raises DataInvalid with the first of those that are longer."""
    problems = Problems()
    for part in examples.parts():
        longest = part.longest
        for index in np.flatnonzero(longest > limit).tolist():
            told = f"has {longest[index]} tokens, maxLength is {limit}: raise it, or set dataset.overlong to Truncate or Drop"
            problems.add(Broken(part[index].place, told))
    problems.refuse()


def _held_out(examples: Examples, share: str, seed: int) -> tuple[Examples, Examples]:
    """(train, validation) of all of a table, disjoint by row: examples of one row stay together. Drawn by `seed`.

    Raises DataInvalid when nothing would be left.
    """
    rows = int(examples.table.row_numbers[-1]) + 1
    count = max(1, round(rows * int(share[:-1]) / 100)) if share.endswith("%") else int(share)
    if count >= rows:
        raise DataInvalid(f"dataset.validationSplit: {share} of {rows} rows leaves none to train on: hold out fewer.")
    drawn = shuffle(rows, seed, 0, Draw.HELD_OUT)

    def is_held(part: Examples) -> NDArray[np.bool_]:
        return drawn.place_of(part.table.row_numbers[part.rows]) < count

    return examples.only(lambda part: ~is_held(part)), examples.only(is_held)
