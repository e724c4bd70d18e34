"""How rows of each task become examples for models of each shape."""

from __future__ import annotations

from skipjack.api.v1alpha1.dataset import Task

from ...errors import ConfigurationInvalid
from ...shape import Shape
from .answer import ANSWER
from .base import Rows, Writer, Writing
from .classes import CLASSIFYING
from .picture import PICTURE
from .preference import PREFERENCE
from .sequence import SEQUENCE
from .span import SPANS
from .tags import TAGGING
from .text import TEXT

WRITERS: dict[Task, dict[Shape, Writer]] = {
    Task.CHAT: {Shape.DECODER: TEXT},
    Task.COMPLETION: {Shape.DECODER: TEXT, Shape.ENCODER_DECODER: SEQUENCE},
    Task.PREFERENCE: {Shape.DECODER: PREFERENCE},
    Task.TEXT_CLASSIFICATION: {Shape.ENCODER: CLASSIFYING, Shape.DECODER: CLASSIFYING},
    Task.TOKEN_CLASSIFICATION: {Shape.ENCODER: TAGGING, Shape.DECODER: TAGGING},
    Task.QUESTION_ANSWERING: {Shape.DECODER: ANSWER, Shape.ENCODER_DECODER: SEQUENCE, Shape.ENCODER: SPANS},
    Task.TRANSLATION: {Shape.DECODER: ANSWER, Shape.ENCODER_DECODER: SEQUENCE},
    Task.TEXT_TO_IMAGE: {Shape.DIFFUSION: PICTURE},
}


def writer_of(task: Task, shape: Shape) -> Writer:
    """Raises ConfigurationInvalid where no model of that shape learns the task."""
    able = WRITERS[task]
    if shape not in able:
        needed = " or ".join(known.value for known in able)
        raise ConfigurationInvalid(
            f"task {task.value} needs {needed}, and the model is {shape.value}: choose another model, or another task."
        )
    return able[shape]


__all__ = ["Rows", "Writer", "Writing", "writer_of"]
