"""FineTuneJob, BaseModel and NodeType as pydantic models: the one source of the CRDs, of validation and of the reference."""

from .basemodel import BaseModelResource, BaseModelSpec
from .finetunejob import FineTuneJobSpec
from .nodetype import NodeTypeResource, NodeTypeSpec
from .status import FineTuneJobStatus

__all__ = [
    "BaseModelResource",
    "BaseModelSpec",
    "FineTuneJobSpec",
    "FineTuneJobStatus",
    "NodeTypeResource",
    "NodeTypeSpec",
]
