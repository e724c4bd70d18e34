"""How much examples of each class count."""

from __future__ import annotations

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack.resolve import ResolvedSpec
from skipjack.tasks import TASKS

from ..errors import ConfigurationInvalid, DataInvalid
from .check import Checked
from .labels import shown


def class_weights(spec: ResolvedSpec, task: Task, checked: Checked) -> tuple[float, ...]:
    """One for each of the labels; none for a task that has none. A weight is that of every example of its class, so that losses are
    divided by the weights' sum, as torch's CrossEntropyLoss(weight=…) does.

    Raises DataInvalid for labels that nothing can be learnt from, ConfigurationInvalid for a spec that they don't fit.
    """
    own, counts = spec.hyperparameters, checked.label_counts
    _refuse_unfit(spec, task, checked)
    if own.balance_classes:
        # As scikit-learn's "balanced" (King and Zeng 2001): a label that train hasn't is met on held-out rows alone.
        seen = [count for count in counts.values() if count]
        return tuple(sum(seen) / (len(seen) * counts[name]) if counts[name] else 1.0 for name in checked.labels)
    return tuple((own.class_weights or {}).get(name, 1.0) for name in checked.labels)


def _refuse_unfit(spec: ResolvedSpec, task: Task, checked: Checked) -> None:
    own = spec.hyperparameters
    of_classes = {"classWeights": own.class_weights, "balanceClasses": own.balance_classes}
    field = next((f"hyperparameters.{name}" for name, value in of_classes.items() if value), None)
    if not TASKS[task].has_labels:
        if told := field or (spec.dataset.labels and "dataset.labels"):
            raise ConfigurationInvalid(f"{told}: the data is for {task.value}, which has no labels: remove it.")
        return
    seen = [name for name, count in checked.label_counts.items() if count]
    if len(seen) < 2:
        raise DataInvalid(
            f"dataset.train: a classification needs at least two labels, found {seen[0] if seen else 'none'} alone."
        )
    if unknown := sorted(set(own.class_weights or ()) - set(checked.labels)):
        raise ConfigurationInvalid(
            f"hyperparameters.classWeights: no row of train has {', '.join(unknown)}, the labels are {shown(checked.labels)}: remove it."
        )
    kinds = set(checked.layouts.values())
    if RowFormat.TEXT_LABELS in kinds and len(kinds) > 1:
        raise DataInvalid(
            "dataset: some sources have one `label` a row, others a list of `labels`: bring all of them in one of the two ways."
        )
    if RowFormat.TEXT_LABELS in kinds and field:
        raise ConfigurationInvalid(
            f"{field}: weighs classes that exclude each other, and rows with a list of `labels` may be of several: remove it."
        )
