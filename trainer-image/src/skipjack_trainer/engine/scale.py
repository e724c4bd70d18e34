"""Loss scaling, which keeps small gradients from vanishing in fp16 (Micikevicius et al. 2018, arXiv:1710.03740)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from skipjack.api.v1alpha1.compute import Precision

FIRST = 2.0**16
SMALLEST = 1.0
GROWS_AFTER_STEPS = 2000
"""As in torch.amp.GradScaler."""


@dataclass(frozen=True, slots=True)
class LossScale:
    """What losses are multiplied by before their gradients are taken."""

    value: float = 1.0
    is_dynamic: bool = False
    steps_held: int = 0
    """Steps since it last changed."""

    @classmethod
    def first(cls, precision: Precision) -> LossScale:
        return cls(FIRST, is_dynamic=True) if precision is Precision.FP16 else cls()

    def after_a_step(self) -> LossScale:
        """The scale of the next step, when the gradients of this one were finite."""
        held = self.steps_held + 1
        if self.is_dynamic and held == GROWS_AFTER_STEPS:
            return replace(self, value=2 * self.value, steps_held=0)
        return replace(self, steps_held=held)

    def lowered(self) -> LossScale | None:
        """The scale to do a step again at, when its gradients were not finite; None: they are not finite at any."""
        if self.value <= SMALLEST:
            return None
        return replace(self, value=self.value / 2, steps_held=0)
