"""Pydantic models → CustomResourceDefinitions with structural schemas. Fails on whatever a structural schema refuses, and on
every string, list or map without a bound (CEL's cost budget needs them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..protocol import GROUP
from .v1alpha1 import BaseModelSpec, FineTuneJobSpec, FineTuneJobStatus, NodeTypeSpec
from .v1alpha1.common import APIModel
from .v1alpha1.finetunejob import MUTABLE
from .v1alpha1.rules import VALIDATIONS

ALLOWED = frozenset(
    {
        "type", "description", "properties", "required", "items", "additionalProperties", "enum", "minLength", "maxLength",
        "minItems", "maxItems", "minProperties", "maxProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
        VALIDATIONS, "x-kubernetes-list-type", "x-kubernetes-list-map-keys",
    }
)  # fmt: skip
LIST_KEYS = {"conditions": "type", "resolved": "field"}


@dataclass(frozen=True, slots=True)
class CEL:
    """A rule on the whole object: what the API server alone can judge, an object's name and its change."""

    rule: str
    message: str


NAME_RULES = (
    CEL("self.metadata.name.size() <= 52", "metadata.name: at most 52 characters, for it becomes part of host names"),
    CEL(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        "metadata.name: begin with a letter; lower-case letters, digits and '-'",
    ),
)
ONE_WAY = (
    CEL(
        "!has(oldSelf.spec.stop) || (has(self.spec.stop) && self.spec.stop == oldSelf.spec.stop)",
        "spec.stop is one way: it can't be taken back",
    ),
    CEL(
        "has(self.spec.managedBy) == has(oldSelf.spec.managedBy) && (!has(self.spec.managedBy) || self.spec.managedBy == oldSelf.spec.managedBy)",
        "spec.managedBy can't be changed: create a new job",
    ),
)


class Unstructural(Exception):
    """A model says something that a structural schema can't hold."""


def crds() -> list[dict[str, Any]]:
    """The CRDs, ready to be written."""
    return [
        _crd(
            "FineTuneJob",
            "finetunejobs",
            "ftj",
            FineTuneJobSpec,
            FineTuneJobStatus,
            JOB_COLUMNS,
            True,
            [*NAME_RULES, *ONE_WAY, *_fixed_once_started()],
        ),
        _crd("NodeType", "nodetypes", "nt", NodeTypeSpec, None, NODE_COLUMNS, False, []),
        _crd("BaseModel", "basemodels", "bm", BaseModelSpec, None, MODEL_COLUMNS, False, []),
    ]


JOB_COLUMNS = (
    ("Model", ".spec.model", "string"), ("Method", ".status.method", "string"), ("State", ".status.state", "string"),
    ("Progress", ".status.progress.percent", "string"), ("Loss", ".status.progress.loss", "string"), ("ETA", ".status.progress.eta", "string"),
    ("Age", ".metadata.creationTimestamp", "date"),
)  # fmt: skip
NODE_COLUMNS = (
    ("Accelerator", ".spec.accelerator.resource", "string"), ("Count", ".spec.accelerator.count", "integer"), ("CPU", ".spec.cpu", "string"),
    ("Memory", ".spec.memory", "string"), ("Default", ".spec.default", "boolean"),
)  # fmt: skip
MODEL_COLUMNS = (
    ("Parameters", ".spec.parameters", "string"),
    ("Context", ".spec.contextLength", "integer"),
    ("Licence", ".spec.licence", "string"),
)


def _crd(
    kind: str, plural: str, short: str, spec: type[APIModel], status: type[APIModel] | None, columns: tuple[tuple[str, str, str], ...],
    namespaced: bool, rules: list[CEL],
) -> dict[str, Any]:  # fmt: skip
    root: dict[str, Any] = {
        "type": "object",
        "description": (spec.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(spec),
        },
    }
    if status:
        root["properties"]["status"] = structural(status)
    if rules:
        root[VALIDATIONS] = [{"rule": rule.rule, "message": rule.message} for rule in rules]
    version: dict[str, Any] = {
        "name": "v1alpha1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": root},
        "additionalPrinterColumns": [{"name": name, "jsonPath": path, "type": kind_} for name, path, kind_ in columns],
    }
    if status:
        version["subresources"] = {"status": {}}
    names = {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": [short],
        "categories": ["skipjack"],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced" if namespaced else "Cluster",
            "versions": [version],
        },
    }


def structural(model: type[APIModel]) -> dict[str, Any]:
    """The model's schema with every reference inlined. Raises Unstructural."""
    schema = model.model_json_schema(by_alias=True)
    return _node(schema, schema.get("$defs", {}), model.__name__)


def _node(node: dict[str, Any], defs: dict[str, Any], path: str) -> dict[str, Any]:
    if "$ref" in node:
        beside = {key: value for key, value in node.items() if key in ("description",)}
        return _node(defs[node["$ref"].rpartition("/")[2]] | beside, defs, path)
    if "anyOf" in node:
        kinds = [kind for kind in node["anyOf"] if kind.get("type") != "null"]
        if len(kinds) != 1:
            raise Unstructural(f"{path}: a union of {len(kinds)} kinds")
        return _node(
            kinds[0] | {key: value for key, value in node.items() if key not in ("anyOf", "default")}, defs, path
        )
    made = {key: value for key, value in node.items() if key not in ("title", "default", "$defs")}
    for sign in ("Minimum", "Maximum"):
        if f"exclusive{sign}" in made:
            made[sign.lower()] = made[f"exclusive{sign}"]
            made[f"exclusive{sign}"] = True
    if made.get("type") == "object" and "properties" in made:
        made.pop("additionalProperties", None)
        made["properties"] = {name: _node(value, defs, f"{path}.{name}") for name, value in made["properties"].items()}
        for name, key in LIST_KEYS.items():
            if made["properties"].get(name, {}).get("type") == "array":
                made["properties"][name] |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
    if "patternProperties" in made:
        raise Unstructural(f"{path}: a pattern of its keys without a sentence for people: use rules.matches")
    if "maxProperties" in made or "additionalProperties" in made:
        if on_keys := _on_keys(made.pop("propertyNames", {})):
            made[VALIDATIONS] = [*made.get(VALIDATIONS, ()), *on_keys]
        made["additionalProperties"] = _node(made["additionalProperties"], defs, f"{path}.*")
    if "items" in made:
        made["items"] = _node(made["items"], defs, f"{path}[]")
    _check(made, path)
    return made


def _on_keys(keys: dict[str, Any]) -> list[dict[str, str]]:
    """Rules on a map's keys as rules on the map: keys have no schema of their own."""
    return [
        {**rule, "rule": f"self.all(key, {rule['rule'].replace('self.', 'key.')})"}
        for rule in keys.get(VALIDATIONS, ())
    ]


def _check(node: dict[str, Any], path: str) -> None:
    if "pattern" in node:
        raise Unstructural(f"{path}: a pattern without a sentence for people: use rules.matches")
    foreign = set(node) - ALLOWED
    if foreign:
        raise Unstructural(f"{path}: {', '.join(sorted(foreign))}")
    bounds = {"string": ("maxLength", "enum"), "array": ("maxItems",)}.get(node["type"], ())
    if node["type"] == "object" and "additionalProperties" in node:
        bounds = ("maxProperties",)
    if bounds and not any(bound in node for bound in bounds):
        article = "a" if node["type"] == "string" else "an"
        raise Unstructural(f"{path}: {article} {node['type']} without a bound ({' or '.join(bounds)})")


def _fixed_once_started() -> list[CEL]:
    """One rule for each field that may not change once the first attempt began; a rule on an optional field itself would miss
    its being added or removed."""
    rules = []
    for name, field in FineTuneJobSpec.model_fields.items():
        if name in MUTABLE or name in ("stop", "managed_by"):
            continue
        path = f"spec.{field.alias or name}"
        same = f"self.{path} == oldSelf.{path}"
        if not field.is_required():
            same = f"has(self.{path}) == has(oldSelf.{path}) && (!has(self.{path}) || {same})"
        rules.append(
            CEL(
                f"!has(oldSelf.status) || !has(oldSelf.status.attempt) || ({same})",
                f"{path} is fixed once the first attempt has started: create a new job",
            )
        )
    return rules
