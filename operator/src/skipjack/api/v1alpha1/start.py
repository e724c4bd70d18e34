"""What a job starts from beside a base model: another job's weights, or an adapter or model that lies somewhere."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from .common import APIModel, Name
from .rules import Rule, matches
from .uris import ModelURI, takes_results_alone


class StartState(StrEnum):
    WEIGHTS = "Weights"
    FULL = "Full"


BEST, LAST = "Best", "Last"

CheckpointName = Annotated[
    str,
    StringConstraints(max_length=10),
    matches("^(Best|Last|[1-9][0-9]{0,7})$", "a checkpoint is Best, Last or the number of a step, as a string: 'Last' or '120' for example"),
]  # fmt: skip


class StartFrom(APIModel):
    """Weights that training begins with."""

    rules: ClassVar = (
        Rule(
            "has(self.job) != has(self.uri)",
            lambda own: (own.job is None) != (own.uri is None),
            "name one thing to start from: a job of this namespace, or the uri of an adapter, a model or a job's output",
        ),
        Rule(
            "!has(self.state) || self.state != 'Full' || has(self.job)",
            lambda own: own.state is not StartState.FULL or own.job is not None,
            "state Full takes optimiser and data up where a job left them: name that job, or choose state: Weights",
        ),
        Rule(
            "!has(self.checkpoint) || has(self.job) || !self.uri.matches('^(hf|oci)://')",
            lambda own: own.checkpoint is None or own.job is not None or not takes_results_alone(own.uri),
            "only a job's output has checkpoints: name the job, or its output at pvc://CLAIM/PATH or s3://BUCKET/PATH, or remove checkpoint",
        ),
    )
    job: Name | None = Field(None, description="Another FineTuneJob of this namespace.")
    uri: ModelURI | None = Field(
        None,
        description="An adapter of PEFT's, a model, or a job's output: hf://ORG/NAME[@REVISION], pvc://CLAIM/PATH, s3://BUCKET/PATH, "
        "az://CONTAINER/PATH, gs://BUCKET/PATH or oci://REGISTRY/REPOSITORY:TAG.",
    )
    checkpoint: CheckpointName | None = Field(
        None,
        description="Best, Last, or the number of a step, as a string. Default: the job's result, whichever that is; with state Full: Last.",
    )
    state: StartState | None = Field(
        None,
        description="Weights: training begins anew with these. Full: it goes on at that step, with the optimiser and the rows it had come to; "
        "epochs or maxSteps are then raised. Default: Weights.",
    )
