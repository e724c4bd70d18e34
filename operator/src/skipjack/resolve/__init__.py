"""spec + catalogue → resolved spec, each value with its origin; then, once the data is seen, the rest of it. Pure."""

from .catalogue import Catalogue, SpecRefused
from .data import DataFacts, resolve_data
from .foreign import refuse_foreign
from .resolved import ResolvedCompute, ResolvedSpec
from .spec import resolve_spec
from .start import Predecessor

__all__ = [
    "Catalogue",
    "DataFacts",
    "Predecessor",
    "ResolvedCompute",
    "ResolvedSpec",
    "SpecRefused",
    "refuse_foreign",
    "resolve_data",
    "resolve_spec",
]
