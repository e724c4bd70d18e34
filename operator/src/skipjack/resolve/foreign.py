"""Settings that a task hasn't: told before anything is fetched where the spec names its task, else once the data does."""

from __future__ import annotations

from ..api.v1alpha1.dataset import Task, TrainOn
from ..tasks import TASKS
from .catalogue import SpecRefused
from .formats import refuse_format
from .resolved import ResolvedSpec


def refuse_foreign(spec: ResolvedSpec, task: Task) -> None:
    """Raises SpecRefused for a setting that would do nothing."""
    settings, about = spec.hyperparameters, TASKS[task]
    for place, wanted in enumerate(spec.output.formats):
        refuse_format(f"spec.output.formats[{place}]", wanted.type, spec.method.type, task)
    if spec.preference and task is not Task.PREFERENCE:
        raise SpecRefused(
            "SettingUnknown",
            f"spec.preference: it is for task Preference, this one is {task.value}: remove it, or bring answers that are judged.",
        )
    if settings.label_smoothing and not about.smooths_labels:
        able = ", ".join(known.value for known, told in TASKS.items() if told.smooths_labels)
        own = "set preference.labelSmoothing instead" if task is Task.PREFERENCE else f"remove it: {able} have it"
        raise SpecRefused(
            "SettingUnknown", f"spec.hyperparameters.labelSmoothing: task {task.value} has no such setting: {own}."
        )
    if settings.neftune_alpha and not about.embeds_tokens:
        raise SpecRefused(
            "SettingUnknown",
            f"spec.hyperparameters.neftuneAlpha: task {task.value} trains no model that embeds tokens: remove it.",
        )
    if task is Task.PREFERENCE and spec.dataset.train_on is TrainOn.ALL:
        raise SpecRefused(
            "SettingUnknown",
            "spec.dataset.trainOn: All would judge prompts, which both answers share: choose Assistant or LastAssistant, or leave it out.",
        )
