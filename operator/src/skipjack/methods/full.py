"""Full fine-tuning: every weight is trained."""

from .base import MethodDefaults

FULL = MethodDefaults(learning_rate=2e-5)
