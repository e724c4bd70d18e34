"""The methods as a Markdown table, out of what each says of itself."""

from __future__ import annotations

from pydantic.alias_generators import to_camel

from ..api.v1alpha1.method import MethodType, block_of
from . import METHODS, Base, MethodDefaults

HEAD = "| type | what it is | take it when | settings and their defaults | base in NF4 |\n| --- | --- | --- | --- | --- |\n"
BASES = {Base.AS_IT_IS: "no", Base.MAY_BE_QUANTIZED: "if asked", Base.QUANTIZED: "always"}
LEFT_OPEN = {
    "alpha": "{times:g} × rank",
    "hidden_size": "as wide as the model",
    "init_text": "random words",
}


def page() -> str:
    """The whole table."""
    return HEAD + "".join(_row(kind, method) for kind, method in METHODS.items())


def _row(kind: MethodType, method: MethodDefaults) -> str:
    about = f"{method.about} ({method.paper})" if method.paper else method.about
    return f"| **{kind.value}** | {about} | {method.take_it} | {_settings(kind, method)} | {BASES[method.base]} |\n"


def _settings(kind: MethodType, method: MethodDefaults) -> str:
    rate = f"`learningRate` {method.learning_rate:.0e}".replace("e-0", "e-")
    block = block_of(kind)
    if block is None:
        return rate
    own = ", ".join(
        f"{to_camel(name)} {_default(name, method)}" for name in method.settings if name != "target_modules"
    )
    return f"{rate}; `{block}`: {own}" if own else rate


def _default(name: str, method: MethodDefaults) -> str:
    match method.settings[name]:
        case None:
            return LEFT_OPEN[name].format(times=method.alpha_per_rank)
        case bool() as value:
            return str(value).lower()
        case value:
            return f"{value:g}" if isinstance(value, float) else str(value)
