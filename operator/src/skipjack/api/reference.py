"""The CRDs as Markdown: every field of every resource."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .crd import crds

HEAD = (
    "# Reference\n\nGenerated from the models by `make crds`. On a cluster: `kubectl explain ftj.spec --recursive`.\n"
)
TABLE = "\n## {kind}\n\n{description}\n\n| field | type | meaning |\n| --- | --- | --- |\n"


def reference() -> str:
    """The whole page."""
    return HEAD + "".join(_page(crd) for crd in crds())


def _page(crd: dict[str, Any]) -> str:
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    blocks = [block for block in ("spec", "status") if block in schema["properties"]]
    rows = [row for block in blocks for row in _rows(schema["properties"][block], block)]
    return TABLE.format(kind=crd["spec"]["names"]["kind"], description=schema["description"]) + "".join(rows)


def _rows(node: dict[str, Any], path: str) -> Iterator[str]:
    for name, child in node.get("properties", {}).items():
        inner = child.get("items", child)
        needed = ["required"] if name in node.get("required", ()) else []
        told = ", ".join([_kind(child), *_bounds(child), *(_bounds(inner) if inner is not child else ()), *needed])
        yield f"| `{path}.{name}` | {told} | {child.get('description', '')} |\n".replace("*", "\\*")
        yield from _rows(inner, f"{path}.{name}{'[]' if 'items' in child else ''}")


def _kind(node: dict[str, Any]) -> str:
    if "items" in node:
        return f"list of {_kind(node['items'])}"
    if "additionalProperties" in node:
        return f"map of {_kind(node['additionalProperties'])}"
    return " \\| ".join(node["enum"]) if "enum" in node else str(node["type"])


def _bounds(node: dict[str, Any]) -> Iterator[str]:
    """How small and how large it may be."""
    if "minimum" in node:
        yield f"{'>' if node.get('exclusiveMinimum') else '≥'} {node['minimum']:g}"
    if "maximum" in node:
        yield f"{'<' if node.get('exclusiveMaximum') else '≤'} {node['maximum']:,}".replace(",", " ")
    for keyword, unit in (("maxLength", "characters"), ("maxItems", "entries"), ("maxProperties", "entries")):
        if keyword in node:
            yield f"at most {node[keyword]} {unit}"
