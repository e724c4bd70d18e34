"""What the resources have in common: strict frozen models in camelCase, bounded strings, CEL rules beside the fields they judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel


@dataclass(frozen=True, slots=True)
class CEL:
    """An `x-kubernetes-validations` rule."""

    rule: str
    message: str


class APIModel(BaseModel):
    """A block of a resource. `rules` become CEL in the CRD; the API server judges by them, nobody else."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True, extra="forbid"
    )
    rules: ClassVar[tuple[CEL, ...]] = ()


DNS_PATTERN = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"

Name = Annotated[str, StringConstraints(pattern=DNS_PATTERN, max_length=253, min_length=1)]
Quantity = Annotated[str, StringConstraints(pattern=QUANTITY_PATTERN, max_length=32)]
Word = Annotated[str, StringConstraints(max_length=128, min_length=1)]
Text = Annotated[str, StringConstraints(max_length=4096, min_length=1)]
LabelKey = Annotated[str, StringConstraints(max_length=317, min_length=1)]
LabelValue = Annotated[str, StringConstraints(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Toleration(APIModel):
    """A toleration, as in core/v1."""

    key: Annotated[str, StringConstraints(max_length=317)] | None = Field(
        None, description="Taint key; empty matches every key."
    )
    operator: Annotated[str, StringConstraints(pattern="^(Exists|Equal)$", max_length=6)] | None = Field(
        None, description="Exists or Equal (the default)."
    )
    value: Annotated[str, StringConstraints(max_length=63)] | None = Field(None, description="Taint value to match.")
    effect: (
        Annotated[str, StringConstraints(pattern="^(NoSchedule|PreferNoSchedule|NoExecute)$", max_length=16)] | None
    ) = Field(None, description="Taint effect to match; empty matches all.")
    toleration_seconds: int | None = Field(None, ge=0, description="How long NoExecute is tolerated, in seconds.")
