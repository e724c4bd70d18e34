"""The catalogues as a snapshot, and looking things up in them in words that help."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from ..api.v1alpha1 import BaseModelResource, NodeTypeResource


class SpecRefused(Exception):
    """A spec that can't be run as it stands. `reason` is for programs, the message for people: field, what is wrong, what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What the platform engineer offers."""

    node_types: tuple[NodeTypeResource, ...]
    base_models: tuple[BaseModelResource, ...]

    def node_type(self, name: str | None) -> tuple[NodeTypeResource, str]:
        """The node type of that name, or the default one, and the origin of the choice. Raises SpecRefused."""
        if name is not None:
            found = next((t for t in self.node_types if t.name == name), None)
            if found is None:
                known = nearest(name, [t.name for t in self.node_types])
                raise SpecRefused("NodeTypeUnknown", f"spec.compute.nodeType: no NodeType is called {name!r}. {known}")
            return found, "spec.compute.nodeType"
        marked = [t for t in self.node_types if t.spec.default]
        if len(marked) == 1:
            return marked[0], "the default NodeType"
        if len(marked) > 1:
            names = ", ".join(sorted(t.name for t in marked))
            raise SpecRefused(
                "NodeTypeAmbiguous",
                f"spec.compute.nodeType is left out and several NodeTypes are the default ({names}): name one.",
            )
        if len(self.node_types) == 1:
            return self.node_types[0], "the only NodeType"
        known = nearest("", [t.name for t in self.node_types])
        raise SpecRefused(
            "NodeTypeMissing", f"spec.compute.nodeType is left out and no NodeType is marked as default. {known}"
        )

    def base_model(self, name: str) -> BaseModelResource:
        """The base model of that name. Raises SpecRefused."""
        found = next((m for m in self.base_models if m.name == name), None)
        if found is None:
            known = nearest(name, [m.name for m in self.base_models])
            raise SpecRefused(
                "BaseModelUnknown",
                f"spec.model: no BaseModel is called {name!r}. {known} Or name its place: hf://ORG/NAME.",
            )
        return found


def nearest(name: str, known: list[str]) -> str:
    """A sentence that offers what `name` may have meant."""
    if not known:
        return "There are none yet: ask whoever runs this cluster to add one."
    close = get_close_matches(name, known, n=3, cutoff=0.4)
    return f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(sorted(known)[:20])}."
