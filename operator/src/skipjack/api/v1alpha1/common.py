"""What the resources have in common: strict frozen models in camelCase, bounded strings, rules beside what they judge."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, StringConstraints, model_validator
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from .rules import VALIDATIONS, Rule, at_least, matches, never


class APIModel(BaseModel):
    """A block of a resource. `rules` are about several of its fields at once."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, frozen=True, extra="forbid"
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _by_the_rules(self) -> Self:
        for rule in self.rules:
            rule.check(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        node = handler.resolve_ref_schema(handler(core))
        if cls.rules:
            node[VALIDATIONS] = [rule.published() for rule in cls.rules]
        return node


LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = rf"{LABEL}(\.{LABEL})*"
QUALIFIED = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"

Name = Annotated[
    str,
    StringConstraints(max_length=253, min_length=1),
    matches(f"^{SUBDOMAIN}$", "a name holds lower-case letters, digits, '-' and '.', and begins and ends with a letter or digit: "
            "team-a for example"),
]  # fmt: skip
Word = Annotated[str, StringConstraints(max_length=128, min_length=1)]
Text = Annotated[str, StringConstraints(max_length=4096, min_length=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]

CPU = Annotated[
    str,
    StringConstraints(max_length=32),
    matches(r"^([0-9]+(\.[0-9]{1,3})?|[0-9]+m)$", "CPU is a number of cores, with at most three decimals, or of thousandths: "
            "'2', '0.5' or 500m for example"),
    at_least("1m", "no CPU at all can't run anything: '1' or 500m for example"),
]  # fmt: skip
Memory = Annotated[
    str,
    StringConstraints(max_length=32),
    matches(r"^[0-9]+(\.[0-9]+)?([kMGT]|[KMGT]i)?$", "memory is a number of bytes with a unit of k, M, G, T, Ki, Mi, Gi or Ti: "
            "16Gi for example"),
    at_least("1Mi", "less than 1Mi of memory: is the unit missing? 16Gi for example"),
]  # fmt: skip
Count = Annotated[
    str,
    StringConstraints(max_length=32),
    matches(r"^[0-9]+(\.[0-9]+)?[kMGT]?$", "a number, with k, M, G or T for thousands, millions and so on: 135M or 3.8G for example"),
]  # fmt: skip

LabelKey = Annotated[
    str,
    StringConstraints(max_length=317, min_length=1),
    matches(rf"^({SUBDOMAIN}/)?{QUALIFIED}$", "a key is NAME or DOMAIN/NAME; NAME holds at most 63 letters, digits, '-', '_' and '.', "
            "DOMAIN is a host's name in lower case: example.com/team for example"),
    never("^[^/]{254}", "the DOMAIN of a key has at most 253 characters: example.com/team for example"),
]  # fmt: skip
"""Keys of a map: the generator turns their rules into rules on the map."""

LabelValue = Annotated[
    str,
    StringConstraints(max_length=63),
    matches("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", "a label's value is empty, or holds letters, digits, '-', '_' and '.', and "
            "begins and ends with a letter or digit: team-a for example"),
]  # fmt: skip


class TolerationOperator(StrEnum):
    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(APIModel):
    """A toleration, as in core/v1."""

    rules: ClassVar = (
        Rule(
            "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            lambda own: own.key is not None or own.operator is TolerationOperator.EXISTS,
            "a toleration without a key tolerates every taint, and says so by operator: Exists; else name the taint's key",
        ),
        Rule(
            "!(has(self.value) && has(self.operator) && self.operator == 'Exists')",
            lambda own: own.value is None or own.operator is not TolerationOperator.EXISTS,
            "operator Exists tolerates every value: remove the value, or choose operator: Equal",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            lambda own: own.toleration_seconds is None or own.effect is TaintEffect.NO_EXECUTE,
            "tolerationSeconds goes with effect: NoExecute alone: add the effect or remove the seconds",
        ),
    )
    key: LabelKey | None = Field(
        None, description="Taint key, nvidia.com/gpu for example; left out with operator Exists: every taint."
    )
    operator: TolerationOperator | None = Field(None, description="Exists or Equal (the default).")
    value: LabelValue | None = Field(None, description="Taint value to match.")
    effect: TaintEffect | None = Field(None, description="Taint effect to match; left out: all of them.")
    toleration_seconds: int | None = Field(
        None, ge=0, le=31_536_000, description="How long NoExecute is tolerated, in seconds."
    )
