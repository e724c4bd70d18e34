"""What every task says of itself, as data: `resolve` and the trainer judge by it, docs/scenarios.md tells it."""

from __future__ import annotations

from dataclasses import dataclass

from .api.v1alpha1.dataset import Task
from .api.v1alpha1.learning import Metric


@dataclass(frozen=True, slots=True)
class TaskDefaults:
    """A task."""

    about: str
    """What a model learns by it, in a line."""
    metrics: tuple[Metric, ...] = (Metric.LOSS,)
    """What held-out rows are judged by; the first unless asked otherwise."""
    packs: bool = True
    """Whether its rows may share a sequence, where method and model allow it."""
    has_labels: bool = False
    """Whether its rows are labelled out of a list."""
    learning_rate_factor: float = 1.0
    """Times a method's own default, which is for chats. Each loss of Preference has its own."""
    smooths_labels: bool = False
    """Whether what is learnt is a distribution over words, whose targets can be smoothed."""
    embeds_tokens: bool = True
    """Whether it begins with token embeddings, to which noise can be added."""


TASKS: dict[Task, TaskDefaults] = {
    Task.CHAT: TaskDefaults("To answer in a conversation.", smooths_labels=True),
    Task.COMPLETION: TaskDefaults(
        "To continue a text: a domain's own language, or an answer to a prompt.", smooths_labels=True
    ),
    Task.PREFERENCE: TaskDefaults("To prefer one answer to another.", (Metric.LOSS, Metric.REWARD_ACCURACY)),
    Task.TEXT_CLASSIFICATION: TaskDefaults(
        "To tell which class a text is of, or which classes.",
        (Metric.F1, Metric.ACCURACY, Metric.LOSS),
        packs=False,
        has_labels=True,
    ),
    Task.TOKEN_CLASSIFICATION: TaskDefaults(
        "To mark the words that name something.",
        (Metric.F1, Metric.ACCURACY, Metric.LOSS),
        packs=False,
        has_labels=True,
    ),
    Task.QUESTION_ANSWERING: TaskDefaults(
        "To answer a question from a text, in the text's own words or in the model's.",
        (Metric.F1, Metric.EXACT_MATCH, Metric.LOSS),
    ),
    Task.TRANSLATION: TaskDefaults(
        "To say in one language what was said in another.",
        (Metric.BLEU, Metric.CHRF, Metric.LOSS),
        smooths_labels=True,
    ),
    # diffusers' scripts have 1e-4 for LoRA and 1e-5 for full fine-tuning: half of what chats learn at.
    Task.TEXT_TO_IMAGE: TaskDefaults(
        "To draw what a caption says.", packs=False, learning_rate_factor=0.5, embeds_tokens=False
    ),
}
