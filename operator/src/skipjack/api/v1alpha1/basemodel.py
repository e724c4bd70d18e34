"""BaseModel: a model that jobs may name. Owned by the platform engineer."""

from __future__ import annotations

from pydantic import Field

from .common import APIModel, Count, Word
from .uris import ModelURI


class BaseModelSpec(APIModel):
    """Where a model is, and what is known of it."""

    uri: ModelURI = Field(
        description="hf://ORG/NAME[@REVISION], pvc://CLAIM/PATH, s3://BUCKET/PATH, az://CONTAINER/PATH, gs://BUCKET/PATH or "
        "oci://REGISTRY/REPOSITORY:TAG."
    )
    parameters: Count | None = Field(None, description="Parameters, 3.8G for example; for people.")
    context_length: int | None = Field(
        None, ge=8, le=16_777_216, description="Longest sequence, in tokens; bounds maxLength."
    )
    licence: Word | None = Field(None, description="SPDX id of the licence; for people.")


class BaseModelResource(APIModel):
    """A BaseModel as the operator reads it."""

    name: str
    spec: BaseModelSpec
