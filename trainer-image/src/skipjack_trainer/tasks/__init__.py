"""What each task's loss is. A task returns (loss_sum, weight); the engine alone divides."""

from __future__ import annotations

from skipjack.api.v1alpha1.finetunejob import Task

from . import causal
from .base import Loss

TASKS: dict[Task, Loss] = {
    Task.CHAT: causal.loss,
    Task.COMPLETION: causal.loss,
}

__all__ = ["TASKS", "Loss"]
