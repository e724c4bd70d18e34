"""What a spec says of labels, judged before the data is seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..api.v1alpha1.finetunejob import FineTuneJobSpec
from ..api.v1alpha1.learning import Hyperparameters
from ..tasks import TASKS
from .catalogue import SpecRefused


def refuse_labels(spec: FineTuneJobSpec) -> None:
    """Raises SpecRefused for labels named twice, weights of labels that aren't there, and either where a task has none."""
    labels, own = spec.dataset.labels or (), spec.hyperparameters or Hyperparameters()
    if twice := sorted(label for label, times in Counter(labels).items() if times > 1):
        raise SpecRefused("LabelTwice", f"spec.dataset.labels: {', '.join(twice)} stands in it twice: name each once.")
    if spec.task and not TASKS[spec.task].has_labels and (field := next(said_of_labels(labels, own), None)):
        able = " or ".join(task.value for task, about in TASKS.items() if about.has_labels)
        raise SpecRefused(
            "TaskWithoutLabels", f"spec.{field}: {spec.task.value} has no labels: remove it, or choose {able}."
        )
    if labels and (unknown := sorted(set(own.class_weights or ()) - set(labels))):
        raise SpecRefused(
            "LabelUnknown",
            f"spec.hyperparameters.classWeights: {', '.join(unknown)} is not in dataset.labels: name it there, or remove it.",
        )


def said_of_labels(labels: object, own: Hyperparameters) -> Iterator[str]:
    """The fields in which a spec speaks of labels."""
    if labels:
        yield "dataset.labels"
    if own.class_weights:
        yield "hyperparameters.classWeights"
    if own.balance_classes:
        yield "hyperparameters.balanceClasses"
