"""Which evaluation is the best, when training gives up, and what cannot be judged by."""

from __future__ import annotations

from typing import Any

import pytest
from tests.trainer.trainees import examples, settled

from skipjack.api.v1alpha1.dataset import Task
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.engine.best import Best, gives_up, is_due, judged, refuse_unmeasured
from skipjack_trainer.errors import ConfigurationInvalid

ROWS = examples(8)


def judging(task: Task = Task.CHAT, **own: Any) -> ResolvedSpec:
    return settled(ROWS, task=task, evaluation=own)


def bests(spec: ResolvedSpec, key: str, *values: float) -> list[Best]:
    """The best after each evaluation, which come every ten steps."""
    so_far: list[Best] = []
    for number, value in enumerate(values, 1):
        so_far.append(judged(so_far[-1] if so_far else None, 10 * number, {key: value}, spec))
    return so_far


def test_of_losses_the_lowest_is_best_and_an_equal_one_is_no_better() -> None:
    assert bests(judging(), "loss", 3.0, 2.0, 2.0, 2.5) == [
        Best(10, 3.0),
        Best(20, 2.0),
        Best(20, 2.0, 1),
        Best(20, 2.0, 2),
    ]


def test_of_other_measures_the_highest_is_best() -> None:
    assert bests(judging(Task.TEXT_CLASSIFICATION, metric="F1"), "f1", 0.5, 0.4, 0.6)[-1] == Best(30, 0.6)


def test_what_is_better_by_less_than_min_delta_counts_as_no_better_until_it_adds_up() -> None:
    spec = judging(earlyStopping={"patience": 3, "minDelta": 0.1})
    assert [best.step for best in bests(spec, "loss", 2.0, 1.95, 1.89, 1.85)] == [10, 10, 30, 30]


def test_training_gives_up_once_patience_is_over_and_never_without_early_stopping() -> None:
    patient = judging(earlyStopping={"patience": 2})
    assert [gives_up(Best(10, 1.0, since), patient) for since in range(4)] == [False, False, True, True]
    assert not gives_up(None, patient)
    assert not gives_up(Best(10, 1.0, 1000), judging())


def test_the_last_step_is_looked_at_only_where_it_competes() -> None:
    assert [step for step in range(1, 11) if is_due(judging(everySteps=4), step, 10)] == [4, 8]
    assert [step for step in range(1, 11) if is_due(judging(everySteps=4, keepBest=True), step, 10)] == [4, 8, 10]
    assert not any(is_due(judging(), step, 10) for step in range(1, 11))


def test_evaluations_that_decide_come_as_often_as_checkpoints_unless_asked_otherwise() -> None:
    assert judging(keepBest=True).evaluation.every_steps == 2
    assert judging(keepBest=True, everySteps=5).evaluation.every_steps == 5
    assert judging().evaluation.every_steps is None


def test_a_measure_that_the_task_is_not_judged_by_is_refused_with_those_that_it_is() -> None:
    spec = judging(Task.TEXT_CLASSIFICATION, metric="F1").model_copy(update={"task": Task.CHAT})
    with pytest.raises(ConfigurationInvalid, match=r"evaluation\.metric: Chat isn't judged by F1, it is by Loss"):
        refuse_unmeasured(spec, 5)
    with pytest.raises(ConfigurationInvalid, match=r"F1 isn't measured on these rows, loss is"):
        judged(None, 1, {"loss": 1.0}, spec)


def test_deciding_by_rows_of_which_none_is_left_is_refused() -> None:
    refuse_unmeasured(judging(), 0)
    with pytest.raises(ConfigurationInvalid, match="none was left"):
        refuse_unmeasured(judging(earlyStopping={"patience": 1}), 0)
