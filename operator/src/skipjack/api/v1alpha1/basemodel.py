"""BaseModel: a model that jobs may name. Owned by the platform engineer."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from .common import APIModel, Quantity, Word


class BaseModelSpec(APIModel):
    """Where a model is, and what is known of it."""

    uri: Annotated[str, StringConstraints(max_length=1024, pattern=r"^(hf|pvc)://[^\s?#]+$")] = Field(
        description="hf://ORG/NAME@REVISION or pvc://CLAIM/PATH."
    )
    parameters: Quantity | None = Field(None, description="Parameters, 3.8G for example; for people.")
    context_length: int | None = Field(
        None, ge=8, le=16_777_216, description="Longest sequence, in tokens; bounds maxLength."
    )
    licence: Word | None = Field(None, description="SPDX id of the licence; for people.")


class BaseModelResource(APIModel):
    """A BaseModel as the operator reads it."""

    name: str
    spec: BaseModelSpec
