"""The hardware of a FineTuneJob, and how the model is laid out on it."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from .common import APIModel, Name
from .rules import Rule


class Precision(StrEnum):
    FP32 = "FP32"
    BF16 = "BF16"
    FP16 = "FP16"


class Strategy(StrEnum):
    """What of a model in training is shared out among the processes: nothing; optimiser state; gradients too; weights too."""

    DDP = "DDP"
    ZERO1 = "ZeRO1"
    ZERO2 = "ZeRO2"
    ZERO3 = "ZeRO3"


class OptimizerOffload(StrEnum):
    """The node's memory, or its disk."""

    CPU = "CPU"
    NVME = "NVMe"


class ParameterOffload(StrEnum):
    CPU = "CPU"


class Offloads(APIModel):
    """What lies in a node's memory, or on its disk, instead of in its accelerators' memory."""

    optimizer: OptimizerOffload | None = Field(
        None,
        description="The optimiser's state and its step: in memory (CPU), or with its moments on the disk of the scratch volume (NVMe). "
        "Default: not offloaded.",
    )
    parameters: ParameterOffload | None = Field(
        None, description="The weights while no layer needs them, in memory (CPU). Default: not offloaded."
    )


class Compute(APIModel):
    """Hardware in your own hands. Left out: the default node type, one node."""

    rules: ClassVar = (
        Rule(
            "!has(self.offload) || !has(self.offload.optimizer) || (has(self.strategy) && self.strategy != 'DDP')",
            lambda own: (
                own.offload is None or own.offload.optimizer is None or own.strategy not in (None, Strategy.DDP)
            ),
            "offload.optimizer goes with a strategy that shares it out: choose strategy: ZeRO1, ZeRO2 or ZeRO3, on one accelerator too",
        ),
        Rule(
            "!has(self.offload) || !has(self.offload.parameters) || (has(self.strategy) && self.strategy == 'ZeRO3')",
            lambda own: own.offload is None or own.offload.parameters is None or own.strategy is Strategy.ZERO3,
            "offload.parameters goes with the strategy that shares weights out: choose strategy: ZeRO3, on one accelerator too",
        ),
    )

    node_type: Name | None = Field(None, description="Name of a NodeType. Default: the one marked as default.")
    nodes: int | None = Field(None, ge=1, le=1024, description="Pods, one a node. Default: 1.")
    accelerators_per_node: int | None = Field(
        None, ge=1, le=64, description="Accelerators a pod asks for. Default: all of the node type's."
    )
    micro_batch_tokens: int | None = Field(
        None, ge=8, le=4_194_304, description="Most tokens in one forward pass. Default: by memory."
    )
    precision: Precision | None = Field(
        None,
        description="Arithmetic of the forward pass. Default: BF16 where the node type has it, else FP16, else FP32.",
    )
    strategy: Strategy | None = Field(
        None,
        description="What is shared out among the processes: nothing (DDP), the optimiser's state (ZeRO1), gradients too (ZeRO2), "
        "weights too (ZeRO3). Default: DDP.",
    )
    offload: Offloads | None = Field(
        None, description="What lies in the node's memory or on its disk. Default: nothing."
    )
    gradient_checkpointing: bool | None = Field(
        None, description="true: activations are computed again in the backward pass, instead of kept. Default: false."
    )
