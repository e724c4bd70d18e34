"""NodeType: a kind of machine that jobs may ask for. Owned by the platform engineer."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from .common import CPU, QUALIFIED, SUBDOMAIN, APIModel, LabelKey, LabelValue, Memory, Name, Toleration, Word
from .compute import Precision
from .rules import Rule, matches, never, quantity

ExtendedResource = Annotated[
    str,
    StringConstraints(max_length=307),
    matches(f"^{SUBDOMAIN}/{QUALIFIED}$", "an extended resource is DOMAIN/NAME, as its device plugin calls it: nvidia.com/gpu for example"),
    never("^(requests[.]|[^/]*kubernetes[.]io/)", "resources of kubernetes.io/ and those that begin with requests. are Kubernetes' own: "
          "name the device plugin's, nvidia.com/gpu for example"),
    never("^[^/]{244}", "the DOMAIN of a resource has at most 243 characters: nvidia.com/gpu for example"),
]  # fmt: skip


class Accelerator(APIModel):
    """What a node of this type has to compute with, beside its CPU."""

    resource: ExtendedResource = Field(description="Extended resource that pods ask for, nvidia.com/gpu for example.")
    count: int = Field(ge=1, le=64, description="How many a node has.")
    memory: Memory = Field(description="Memory of one, 80Gi for example.")


class NodeTypeSpec(APIModel):
    """Resources of one pod on this type of node, and how it gets there."""

    rules: ClassVar = (
        Rule(
            "!has(self.cpuLimit) || !isQuantity(self.cpuLimit) || !isQuantity(self.cpu) || "
            "quantity(self.cpuLimit).compareTo(quantity(self.cpu)) >= 0",
            lambda own: own.cpu_limit is None or quantity(own.cpu_limit) >= quantity(own.cpu),
            "cpuLimit is less than cpu, which the pod asks for: raise it to cpu or more, or leave it out",
        ),
    )
    description: Word | None = Field(None, description="A line for people.")
    default: bool | None = Field(None, description="true: used by jobs that name no node type. At most one should be.")
    cpu: CPU = Field(description="CPU that a pod asks for.")
    cpu_limit: CPU | None = Field(None, description="CPU that a pod may use at most. Default: what it asks for.")
    memory: Memory = Field(description="Memory that a pod asks for, and its limit.")
    accelerator: Accelerator | None = Field(None, description="Left out: the CPU trains.")
    precisions: Annotated[list[Precision], Field(min_length=1, max_length=4)] = Field(
        description="Arithmetic that the hardware has."
    )
    node_selector: Annotated[dict[LabelKey, LabelValue], Field(max_length=32)] | None = Field(
        None, description="Labels of the nodes."
    )
    tolerations: Annotated[list[Toleration], Field(max_length=32)] | None = Field(
        None, description="Taints that the pods tolerate."
    )
    runtime_class_name: Name | None = Field(None, description="RuntimeClass of the pods.")


class NodeTypeResource(APIModel):
    """A NodeType as the operator reads it."""

    name: str
    spec: NodeTypeSpec
