"""What translations and answers are judged by, as those who made the measures define them."""

from __future__ import annotations

import importlib
import json
import sys

import numpy as np
import pytest

from skipjack_trainer.data.asked import REFERENCES
from skipjack_trainer.data.example import Example, utf8
from skipjack_trainer.tasks.measures import words as measures
from skipjack_trainer.tasks.measures.words import answers, judged, translations


def example(*references: str) -> Example:
    return Example(np.zeros(1, np.int32), np.zeros(1, np.float32), "", {REFERENCES: utf8(json.dumps(references))})


@pytest.mark.parametrize(
    ("said", "right", "f1", "exact"),
    [
        ("The  Lighthouse!", ["lighthouse"], 1.0, 1.0),
        ("an old light", ["the old lamp"], 0.5, 0.0),
        ("old old light", ["old light"], 0.8, 0.0),
        ("light", ["lamp", "a light"], 1.0, 1.0),
        ("lamp light", ["lamp", "light house tower"], 2 / 3, 0.0),
        ("", [], 1.0, 1.0),
        ("the", [], 1.0, 1.0),
        ("red", [], 0.0, 0.0),
        ("", ["red"], 0.0, 0.0),
        ("der", ["die"], 0.0, 0.0),
    ],
)
def test_squads_measures_ignore_case_articles_and_punctuation_and_take_the_nearest_answer(
    said: str, right: list[str], f1: float, exact: float
) -> None:
    assert judged([(said, right)]) == {"f1": pytest.approx(f1), "exact_match": exact}


def test_measures_of_rows_are_means() -> None:
    assert answers([example("red"), example()], ["red", "blue"]) == {"f1": 0.5, "exact_match": 0.5}


def test_a_translation_is_judged_over_the_corpus_as_sacrebleu_does() -> None:
    rows = [example("the red boat sails to the island"), example("Das alte Schiff wartet.")]
    perfect = translations(rows, ["the red boat sails to the island", "Das alte Schiff wartet."])
    assert perfect == {"bleu": pytest.approx(100), "chrf": pytest.approx(100)}
    partly = translations(rows, ["the red boat sails to an island", "Das Schiff wartet."])
    assert 30 < partly["bleu"] < 70 < partly["chrf"] < 95
    assert translations(rows, ["", ""]) == {"bleu": 0.0, "chrf": 0.0}


def test_a_job_that_translates_nothing_imports_no_sacrebleu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    importlib.reload(measures)
    with pytest.raises(ImportError):
        measures.translations([example("red")], ["red"])
