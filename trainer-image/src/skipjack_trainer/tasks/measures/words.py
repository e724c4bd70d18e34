"""Measures of words against words: what translations and answers are judged by."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from skipjack.api.v1alpha1.learning import Metric

from ...data.asked import references_of
from ...data.example import Example


def translations(examples: Sequence[Example], said: Sequence[str], labels: tuple[str, ...] = ()) -> dict[str, float]:
    """BLEU and chrF of the whole corpus, from 0 to 100, as sacreBLEU computes them by default."""
    from sacrebleu import corpus_bleu, corpus_chrf

    references = [[references_of(example)[0] for example in examples]]
    return {
        Metric.BLEU.key: corpus_bleu(list(said), references).score,
        Metric.CHRF.key: corpus_chrf(list(said), references).score,
    }


def answers(examples: Sequence[Example], said: Sequence[str], labels: tuple[str, ...] = ()) -> dict[str, float]:
    """Means over rows with one prediction each."""
    return judged([(told, references_of(example)) for told, example in zip(said, examples, strict=True)])


def judged(rows: Sequence[tuple[str, Sequence[str]]]) -> dict[str, float]:
    """(answer, right answers) of each row → SQuAD's exact match and F1, from 0 to 1: against the right answer that is nearest; of a row
    that has none, saying nothing is right. After Rajpurkar, Jia, Liang 2018, https://arxiv.org/abs/1806.03822, and its evaluate-v2.0.py."""
    measures = {Metric.F1: overlap, Metric.EXACT_MATCH: exact}
    return {
        metric.key: sum(max(measure(said, right) for right in rights or ("",)) for said, rights in rows) / len(rows)
        for metric, measure in measures.items()
    }


def exact(said: str, right: str) -> float:
    return float(normalised(said) == normalised(right))


def overlap(said: str, right: str) -> float:
    """F1 of two bags of words."""
    ours, theirs = normalised(said).split(), normalised(right).split()
    if not ours or not theirs:
        return float(ours == theirs)
    common = (Counter(ours) & Counter(theirs)).total()
    return 2 * common / (len(ours) + len(theirs))


def normalised(text: str) -> str:
    """In lower case, without punctuation, articles and needless spaces."""
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", plain).split())
