"""Answers that an encoder finds in their context: for each token, how likely an answer begins there, and how likely one ends there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from skipjack.resolve import ResolvedSpec

from ..data.asked import references_of
from ..data.example import Example, text_of
from ..data.writers.span import CONTEXT, KINDS, OFFSETS, SPAN, WINDOW
from ..shape import Head
from .base import Recipe, Subject
from .generate import side_by_side
from .measures.words import judged

HALF = 0.5
"""An answer's beginning and its end count half of its window's weight each, as in BERT's own (Devlin et al. 2018, section 4.2)."""


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """[n, L], filled up at the right; `spans` [n, 2]: (first, last) token of each answer."""

    inputs: dict[str, torch.Tensor]
    """What the model is given, by the names of its arguments."""
    spans: torch.Tensor


class Found(NamedTuple):
    """What a window says: the score of there being no answer in it, and the best answer with its score."""

    nothing: float
    score: float
    text: str


def batch(examples: Sequence[Example], packing: bool, device: torch.device) -> WindowBatch:
    ids, mask = side_by_side([example.input_ids for example in examples], fill_before=False)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if KINDS in examples[0].beside:
        inputs["token_type_ids"], _ = side_by_side([example.beside[KINDS] for example in examples], fill_before=False)
    spans = torch.from_numpy(np.stack([example.beside[SPAN] for example in examples]).astype(np.int64))
    return WindowBatch({name: tensor.to(device) for name, tensor in inputs.items()}, spans.to(device))


def loss(model: Any, batch: WindowBatch, spec: ResolvedSpec) -> tuple[torch.Tensor, float]:
    """Sum of the windows' cross-entropies in nats, and how many windows there are."""
    sides = zip(scores(model, batch), batch.spans.unbind(dim=1), strict=True)
    return sum(HALF * cross_entropy(logits, side, reduction="sum") for logits, side in sides), float(len(batch.spans))


def scores(model: Any, batch: WindowBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """(beginnings, ends): fp32 [n, L], nothing where there is no token."""
    out = told_kinds(model)(**batch.inputs)
    is_filling = batch.inputs["attention_mask"] == 0
    begins, ends = (
        logits.float().masked_fill(is_filling, float("-inf")) for logits in (out.start_logits, out.end_logits)
    )
    return begins, ends


def told_kinds(model: Any) -> Any:
    """What to call in place of the model: PEFT's own forward for answers (0.21) takes `token_type_ids` and passes them to nobody."""
    adapter = getattr(model, "active_peft_config", None)
    return model if adapter is None or adapter.is_prompt_learning else model.base_model


def predict(subject: Subject, examples: Sequence[Example]) -> list[Found]:
    with subject.autocast():
        begins, ends = scores(subject.model, batch(examples, False, subject.device))
    rows = zip(examples, begins.cpu().numpy(), ends.cpu().numpy(), strict=True)
    return [best(example, begin, end, subject.spec.evaluation.max_new_tokens) for example, begin, end in rows]


def best(example: Example, begins: np.ndarray, ends: np.ndarray, longest: int) -> Found:
    """The answer of at most `longest` tokens with the highest sum of scores: every one is looked at, not the n best of either side alone."""
    offsets = example.beside[OFFSETS].reshape(-1, 2)
    context = slice(example.beside[WINDOW][1], example.beside[WINDOW][1] + len(offsets))
    begin, end = begins[context], ends[context]
    by_length = [begin[: len(begin) - more] + end[more:] for more in range(min(longest, len(begin)))]
    more = int(np.argmax([sums.max() for sums in by_length]))
    first = int(by_length[more].argmax())
    text = text_of(example.beside[CONTEXT])[offsets[first, 0] : offsets[first + more, 1]]
    return Found(float(begins[0] + ends[0]), float(by_length[more][first]), text.strip())


def score(examples: Sequence[Example], predictions: Sequence[Found], labels: tuple[str, ...] = ()) -> dict[str, float]:
    """SQuAD's measures over rows, whose windows stand one after the other. A row is left unanswered where there being no answer scores
    higher in every window than the best answer of all windows; never where each row has an answer, as in SQuAD 1."""
    rows: list[tuple[list[Found], list[str]]] = []
    for example, found in zip(examples, predictions, strict=True):
        if example.beside[WINDOW][0] == 0:
            rows.append(([], references_of(example)))
        rows[-1][0].append(found)
    may_be_none = not all(references for _, references in rows)
    return judged([(said(windows, may_be_none), references) for windows, references in rows])


def said(windows: Sequence[Found], may_be_none: bool) -> str:
    answer = max(windows, key=lambda found: found.score)
    is_none = may_be_none and min(found.nothing for found in windows) > answer.score
    return "" if is_none else answer.text


ANSWERS = Recipe(Head.SPAN, batch, loss, predict=predict, score=score)
