"""The loss of a preference tuning: its settings and where each came from, and what it refuses."""

from __future__ import annotations

from typing import Any

from pydantic.alias_generators import to_camel

from ..api.v1alpha1.preference import Preference, PreferenceLoss
from ..preference import LOSSES
from .catalogue import SpecRefused
from .choices import OWN, Choices


def default_of_loss(loss: PreferenceLoss) -> str:
    """The origin of what the loss alone decides."""
    return f"default of {loss.value}"


def resolve_preference(own: Preference | None, choices: Choices) -> dict[str, Any] | None:
    """The block as the resolved spec holds it; None until the data tells, where the person said nothing. Raises SpecRefused."""
    if own is None:
        return None
    known = LOSSES[own.loss].settings
    for name in sorted(own.model_fields_set - {"loss"}):
        if getattr(own, name) is not None and name not in known:
            able = ", ".join(loss.value for loss, about in LOSSES.items() if name in about.settings)
            raise SpecRefused(
                "SettingUnknown",
                f"spec.preference.{to_camel(name)}: {own.loss.value} has no such setting, it has {', '.join(map(to_camel, known))}: "
                f"remove it, or choose {able}.",
            )
    choices.origins["preference.loss"] = OWN
    origin = default_of_loss(own.loss)
    settings = {
        name: choices.choose(f"preference.{name}", getattr(own, name), default, origin)
        for name, default in known.items()
    }
    return {"loss": own.loss, **settings}


def told_by_data(is_paired: bool) -> dict[str, tuple[Any, str]]:
    """Dotted field → (value, origin), for a spec that says nothing of preferences."""
    loss = PreferenceLoss.DPO if is_paired else PreferenceLoss.KTO
    why = "default for pairs" if is_paired else "default for single answers with a label"
    decided: dict[str, tuple[Any, str]] = {"preference.loss": (loss.value, why)}
    return decided | {
        f"preference.{name}": (default, default_of_loss(loss)) for name, default in LOSSES[loss].settings.items()
    }
