"""The loss of a preference tuning: whole by its name alone, told by the data where nothing is said; what it hasn't is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic.alias_generators import to_camel
from tests.builders import catalogue, spec

from skipjack.api.v1alpha1.dataset import Task
from skipjack.api.v1alpha1.preference import Preference, PreferenceLoss
from skipjack.preference import LOSSES
from skipjack.resolve import DataFacts, ResolvedSpec, SpecRefused, resolve_data, resolve_spec

EVERY = list(PreferenceLoss)
SETTINGS = sorted(set(Preference.model_fields) - {"loss"})


def resolved(**changes: Any) -> ResolvedSpec:
    return resolve_spec(spec(**changes), "job", "team", "uid-1", catalogue())


def seen(job: ResolvedSpec, layout: str = "ChosenRejected", task: Task = Task.PREFERENCE) -> ResolvedSpec:
    return resolve_data(job, DataFacts(task, 300, 30, 90, 20_000, 2048, True, (layout,)))


def origins(job: ResolvedSpec) -> dict[str, str]:
    return {value.field: value.origin for value in job.told() if value.field.startswith("preference")}


@pytest.mark.parametrize("loss", EVERY)
def test_a_loss_alone_is_a_whole_block_and_says_so_of_each_value(loss: PreferenceLoss) -> None:
    job = resolved(preference={"loss": loss})
    assert job.preference is not None
    told = job.preference.model_dump(exclude_none=True)
    assert told == {"loss": loss, **LOSSES[loss].settings}
    expected = {f"preference.{to_camel(name)}": f"default of {loss.value}" for name in LOSSES[loss].settings}
    assert origins(job) == expected | {"preference.loss": "spec"}


@pytest.mark.parametrize("loss", EVERY)
def test_every_default_is_one_that_a_person_could_have_written(loss: PreferenceLoss) -> None:
    own = {"loss": loss, **LOSSES[loss].settings}
    assert resolved(preference=own).preference == resolved(preference={"loss": loss}).preference


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("loss", EVERY)
def test_a_setting_is_taken_or_refused_with_the_losses_that_have_it(loss: PreferenceLoss, setting: str) -> None:
    own = {"loss": loss, to_camel(setting): 0.25}
    if setting in LOSSES[loss].settings:
        job = resolved(preference=own)
        assert getattr(job.preference, setting) == 0.25
        assert origins(job)[f"preference.{to_camel(setting)}"] == "spec"
        return
    able = ", ".join(known.value for known, about in LOSSES.items() if setting in about.settings)
    with pytest.raises(SpecRefused) as caught:
        resolved(preference=own)
    assert caught.value.message.startswith(f"spec.preference.{to_camel(setting)}: {loss.value} has no such setting")
    assert caught.value.message.endswith(f"choose {able}.")


@pytest.mark.parametrize(("layout", "loss"), [("PreferredOutput", "DPO"), ("PromptCompletionLabel", "KTO")])
def test_the_data_tells_the_loss_where_nothing_is_said_and_later_attempts_keep_it(layout: str, loss: str) -> None:
    job = resolved()
    assert job.preference is None
    told = seen(job, layout)
    assert told.preference is not None
    assert told.preference.loss.value == loss
    assert origins(told)["preference.loss"].startswith("default for ")
    assert seen(job.pinned(told.told()), layout) == told
    assert seen(job, task=Task.CHAT).preference is None


def test_preferences_are_learnt_slowly_unless_the_person_says_otherwise() -> None:
    assert seen(resolved(preference={"loss": "DPO"})).hyperparameters.learning_rate == pytest.approx(1e-5)
    assert seen(resolved(preference={"loss": "ORPO"})).hyperparameters.learning_rate == pytest.approx(8e-5)
    told = seen(resolved(preference={"loss": "DPO"}, method={"type": "Full"}))
    assert told.hyperparameters.learning_rate == pytest.approx(1e-6)
    assert told.origins["hyperparameters.learning_rate"] == "default of Full for Preference by DPO"
    own = {"learningRate": 0.003}
    assert seen(resolved(preference={"loss": "DPO"}, hyperparameters=own)).hyperparameters.learning_rate == 0.003


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"task": "Chat", "preference": {"loss": "DPO"}}, "spec.preference: it is for task Preference, this one is Chat"),
        ({"task": "Preference", "hyperparameters": {"labelSmoothing": 0.1}}, "spec.hyperparameters.labelSmoothing: .* set preference.labelSmoothing"),
        ({"task": "TextClassification", "hyperparameters": {"labelSmoothing": 0.1}}, "remove it: Chat, Completion, Translation have it"),
        ({"task": "TextToImage", "hyperparameters": {"neftuneAlpha": 5}}, "spec.hyperparameters.neftuneAlpha: .* no model that embeds tokens"),
    ],
)  # fmt: skip
def test_what_a_task_has_not_is_refused_before_anything_is_fetched(changes: dict[str, Any], refusal: str) -> None:
    with pytest.raises(SpecRefused, match=refusal):
        resolved(**changes)


def test_noise_and_smoothed_targets_are_none_unless_asked_for() -> None:
    settings = resolved().hyperparameters
    assert (settings.label_smoothing, settings.neftune_alpha) == (0.0, None)
    own = {"labelSmoothing": 0.1, "neftuneAlpha": 5}
    settings = resolved(task="Chat", hyperparameters=own).hyperparameters
    assert (settings.label_smoothing, settings.neftune_alpha) == (0.1, 5)
