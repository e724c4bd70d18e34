"""How each task is learnt by models of each shape."""

from __future__ import annotations

from skipjack.api.v1alpha1.dataset import Task

from ..shape import Shape
from . import sequence, span, written
from .base import Recipe, Subject
from .causal import CAUSAL
from .classes import CLASSES_OF_TEXT
from .drawing import DRAWING
from .preference import PREFERENCE
from .tags import TAGS_OF_WORDS

RECIPES: dict[Task, dict[Shape, Recipe]] = {
    Task.CHAT: {Shape.DECODER: CAUSAL},
    Task.COMPLETION: {Shape.DECODER: CAUSAL, Shape.ENCODER_DECODER: sequence.COMPLETION},
    Task.PREFERENCE: {Shape.DECODER: PREFERENCE},
    Task.TEXT_CLASSIFICATION: {Shape.ENCODER: CLASSES_OF_TEXT, Shape.DECODER: CLASSES_OF_TEXT},
    Task.TOKEN_CLASSIFICATION: {Shape.ENCODER: TAGS_OF_WORDS, Shape.DECODER: TAGS_OF_WORDS},
    Task.QUESTION_ANSWERING: {
        Shape.DECODER: written.ANSWERS,
        Shape.ENCODER_DECODER: sequence.ANSWERS,
        Shape.ENCODER: span.ANSWERS,
    },
    Task.TRANSLATION: {Shape.DECODER: written.TRANSLATION, Shape.ENCODER_DECODER: sequence.TRANSLATION},
    Task.TEXT_TO_IMAGE: {Shape.DIFFUSION: DRAWING},
}
"""The same keys as data/writers has: what can be written can be learnt."""

__all__ = ["RECIPES", "Recipe", "Subject"]
