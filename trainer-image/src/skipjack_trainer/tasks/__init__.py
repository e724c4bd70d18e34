"""How each task is learnt by models of each shape."""

from __future__ import annotations

from skipjack.api.v1alpha1.dataset import Task

from ..shape import Shape
from .base import Recipe, Subject
from .causal import CAUSAL
from .drawing import DRAWING

RECIPES: dict[Task, dict[Shape, Recipe]] = {
    Task.CHAT: {Shape.DECODER: CAUSAL},
    Task.COMPLETION: {Shape.DECODER: CAUSAL},
    Task.TEXT_TO_IMAGE: {Shape.DIFFUSION: DRAWING},
}
"""The same keys as data/writers has: what can be written can be learnt."""

__all__ = ["RECIPES", "Recipe", "Subject"]
