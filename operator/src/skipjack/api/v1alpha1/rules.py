"""Rules: what a value must be, and the sentence for whoever missed it. The API server judges by the CEL, everybody else by
the predicate, and both say the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator, core_schema

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule on one value or one block. `cel` calls it `self`; a marker in `Annotated`, or an entry of a block's `rules`."""

    cel: str
    holds: Callable[[Any], bool]
    message: str

    def check(self, value: Any) -> Any:
        """The value. Raises PydanticCustomError with the sentence."""
        if not self.holds(value):
            raise PydanticCustomError("rule", "{message}", {"message": self.message})
        return value

    def published(self) -> dict[str, str]:
        """The entry of x-kubernetes-validations."""
        return {"rule": self.cel, "message": self.message}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        node = handler(core)
        return node | {VALIDATIONS: [*node.get(VALIDATIONS, ()), self.published()]}


def matches(regex: str, message: str) -> Rule:
    """The string must match `regex`."""
    return Rule(f"self.matches({_literal(regex)})", _matcher(regex), message)


def never(regex: str, message: str) -> Rule:
    """The string must not match `regex`."""
    found = _matcher(regex)
    return Rule(f"!self.matches({_literal(regex)})", lambda text: not found(text), message)


def with_scheme(scheme: str, regex: str, message: str) -> Rule:
    """A URI that begins with `scheme`:// must go on as `regex`; others are not judged."""
    begin, fits = f"{scheme}://", _matcher(f"^{scheme}://{regex}$")
    cel = f"!self.startsWith('{begin}') || self.matches({_literal(f'^{scheme}://{regex}$')})"
    return Rule(cel, lambda text: not text.startswith(begin) or fits(text), message)


def either(one: Rule, other: Rule) -> Rule:
    """One of two rules with the same sentence must hold."""
    return Rule(f"{one.cel} || {other.cel}", lambda value: one.holds(value) or other.holds(value), one.message)


def at_least(smallest: str, message: str) -> Rule:
    """The quantity must be `smallest` or more. What is no quantity at all is left to the rule on its form."""
    return Rule(
        f"!isQuantity(self) || quantity(self).compareTo(quantity('{smallest}')) >= 0",
        lambda text: quantity(text) >= quantity(smallest),
        message,
    )


UNITS = {"m": Decimal("0.001"), "": Decimal(1)}
UNITS |= {unit: Decimal(1000) ** power for power, unit in enumerate("kMGT", 1)}
UNITS |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGT", 1)}


def quantity(text: str) -> Decimal:
    """The number that a Kubernetes quantity of the resources' own form means."""
    number = text.rstrip("mkKMGTi")
    return Decimal(number) * UNITS[text[len(number) :]]


def _literal(regex: str) -> str:
    """As a CEL raw string. Classes that RE2 and Rust read differently are refused: one takes ASCII, the other Unicode."""
    if "'" in regex or re.search(r"\\[sSdDwWbB]", regex):
        raise ValueError(f"{regex}: no quotes, and classes spelt out")
    return f"r'{regex}'"


def _matcher(regex: str) -> Callable[[str], bool]:
    """pydantic's own engine, which reads what the API server's reads, and in linear time as well."""
    return SchemaValidator(core_schema.str_schema(pattern=regex)).isinstance_python
