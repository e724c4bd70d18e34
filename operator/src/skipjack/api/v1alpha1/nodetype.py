"""NodeType: a kind of machine that jobs may ask for. Owned by the platform engineer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from .common import APIModel, LabelKey, LabelValue, Name, Quantity, Toleration, Word
from .finetunejob import Precision


class Accelerator(APIModel):
    """What a node of this type has to compute with, beside its CPU."""

    resource: Word = Field(description="Extended resource that pods ask for, nvidia.com/gpu for example.")
    count: int = Field(ge=1, le=64, description="How many a node has.")
    memory: Quantity = Field(description="Memory of one, 80Gi for example.")


class NodeTypeSpec(APIModel):
    """Resources of one pod on this type of node, and how it gets there."""

    description: Word | None = Field(None, description="A line for people.")
    default: bool | None = Field(None, description="true: used by jobs that name no node type. At most one should be.")
    cpu: Quantity = Field(description="CPU that a pod asks for.")
    cpu_limit: Quantity | None = Field(None, description="CPU that a pod may use at most. Default: what it asks for.")
    memory: Quantity = Field(description="Memory that a pod asks for, and its limit.")
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
