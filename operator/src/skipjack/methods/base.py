"""What every method says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MethodDefaults:
    """Defaults of a method. `settings` fill the method's own block, by its field names."""

    learning_rate: float
    block: str | None = None
    settings: dict[str, float | int | str | None] = field(default_factory=dict)
