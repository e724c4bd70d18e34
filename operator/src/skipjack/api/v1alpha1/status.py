"""What is told of a FineTuneJob."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from .common import APIModel

ShortText = Annotated[str, StringConstraints(max_length=256)]
LongText = Annotated[str, StringConstraints(max_length=8192)]


class ConditionType(StrEnum):
    ACCEPTED = "Accepted"
    DATA_READY = "DataReady"
    RUNNING = "Running"
    SUSPENDED = "Suspended"
    COMPLETE = "Complete"
    FAILED = "Failed"


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(APIModel):
    """One aspect of the state, as in meta/v1."""

    type: ShortText = Field(description="Accepted, DataReady, Running, Suspended, Complete or Failed.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: ShortText = Field(description="One word for programs.")
    message: LongText = Field(description="A sentence for people: what happened and what to do.")
    last_transition_time: ShortText = Field(description="When the status last changed, RFC 3339.")
    observed_generation: int | None = Field(None, ge=0, description="The spec's generation that was judged.")


class ResolvedField(APIModel):
    """One setting as it is used."""

    field: ShortText = Field(description="Path in the spec.")
    value: LongText = Field(description="Its value, as JSON.")
    origin: ShortText = Field(description="Where the value comes from.")


class AttemptStatus(APIModel):
    """The attempt that runs, or ran last."""

    number: int = Field(ge=1, description="Counts from 1.")
    job: ShortText = Field(description="Name of its batch/v1 Job.")
    job_uid: ShortText | None = Field(None, description="Uid of its batch/v1 Job.")
    charged: int = Field(0, ge=0, description="Failed attempts that count against limits.backoffLimit.")
    last_end: ShortText | None = Field(None, description="Why the attempt before it ended.")


class ProgressStatus(APIModel):
    """How far training is."""

    attempt: int = Field(ge=1, description="The attempt that told it.")
    step: int = Field(ge=0, description="Optimiser steps done.")
    steps: int = Field(ge=0, description="Optimiser steps in all.")
    percent: ShortText = Field(description="Share done.")
    epoch: ShortText = Field(description="Passes over the data so far.")
    loss: ShortText | None = Field(None, description="Mean training loss of the last step, in nats a token.")
    heldout_loss: ShortText | None = Field(None, description="Last loss on held-out rows, in nats a token.")
    metric: ShortText | None = Field(None, description="What held-out rows are judged by.")
    metric_value: ShortText | None = Field(None, description="Its last value on held-out rows.")
    best_step: int | None = Field(None, ge=0, description="Step of the best evaluation so far.")
    learning_rate: ShortText | None = Field(None, description="Learning rate of the last step.")
    tokens_per_second: ShortText | None = Field(None, description="Tokens trained on a second, over all pods.")
    eta: ShortText | None = Field(None, description="Time left, as a duration.")
    checkpoint_step: int | None = Field(None, ge=0, description="Step of the newest complete checkpoint.")
    phase: ShortText | None = Field(None, description="Preparing, Training or Exporting.")
    updated: ShortText | None = Field(None, description="When it was told, RFC 3339.")


class FormatStatus(APIModel):
    """One form of the result."""

    type: ShortText = Field(description="Adapter, Merged, ONNX or GGUF.")
    quantization: ShortText | None = Field(
        None, description="How its weights are held; none told: as they were trained."
    )
    path: ShortText = Field(description="Its folder in the output; '.': the output itself.")
    digest: ShortText = Field(description="sha256 over the digests of its files.")
    bytes: int = Field(ge=0, description="Size of its files.")
    difference: ShortText | None = Field(
        None,
        description="The greatest difference from the model as it was trained, on rows of the dataset, in logits; of GGUF in log-probabilities.",
    )


class OutputStatus(APIModel):
    """The result."""

    uri: LongText = Field(description="Where it is.")
    digest: ShortText = Field(description="sha256 over its manifest.")
    metrics: Annotated[dict[ShortText, ShortText], Field(max_length=64)] | None = Field(
        None, description="Losses, tokens, seconds, memory."
    )
    formats: Annotated[list[FormatStatus], Field(max_length=8)] | None = Field(
        None, description="What it was written as, where output.formats asked for it."
    )


class FailureStatus(APIModel):
    """Why the job, or its last attempt, failed."""

    reason: ShortText = Field(description="One word for programs.")
    message: LongText = Field(description="What happened and what to do.")
    exit_code: int | None = Field(None, description="The trainer's exit code.")
    node: ShortText | None = Field(None, description="Where its pod ran.")
    pod: ShortText | None = Field(None, description="Its pod.")


class FineTuneJobStatus(APIModel):
    """Everything known of the job."""

    observed_generation: int | None = Field(None, ge=0, description="The spec's generation that was judged last.")
    state: ShortText | None = Field(None, description="One word for people, derived from the conditions.")
    method: ShortText | None = Field(None, description="The method that is used.")
    conditions: Annotated[list[Condition], Field(max_length=16)] | None = Field(
        None, description="The state, aspect by aspect."
    )
    resolved: Annotated[list[ResolvedField], Field(max_length=128)] | None = Field(
        None, description="Every setting as it is used, and why."
    )
    attempt: AttemptStatus | None = Field(None, description="The attempt that runs, or ran last.")
    progress: ProgressStatus | None = Field(None, description="How far training is.")
    facts: Annotated[dict[ShortText, int], Field(max_length=32)] | None = Field(
        None, description="Rows, tokens and lengths of the data."
    )
    output: OutputStatus | None = Field(None, description="The result.")
    failure: FailureStatus | None = Field(None, description="Why it failed.")
