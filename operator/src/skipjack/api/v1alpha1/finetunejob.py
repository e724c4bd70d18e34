"""FineTuneJob: a model, a dataset, an output; the rest is optional and told back."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from .common import APIModel, Fraction, Name, Text
from .compute import Compute
from .method import Method
from .pod import PodSettings
from .rules import Rule, matches
from .uris import CredentialPrefix, DataURI, ModelReference, OutputURI


class Task(StrEnum):
    CHAT = "Chat"
    COMPLETION = "Completion"


class RowFormat(StrEnum):
    """How a row of the dataset is laid out."""

    MESSAGES = "Messages"
    CONVERSATIONS = "Conversations"
    PROMPT_COMPLETION = "PromptCompletion"
    ALPACA = "Alpaca"
    TEXT = "Text"


class TrainOn(StrEnum):
    ASSISTANT = "Assistant"
    LAST_ASSISTANT = "LastAssistant"
    ALL = "All"


class Overlong(StrEnum):
    TRUNCATE = "Truncate"
    DROP = "Drop"
    FAIL = "Fail"


class Scheduler(StrEnum):
    COSINE = "Cosine"
    LINEAR = "Linear"
    CONSTANT = "Constant"


class IfExists(StrEnum):
    FAIL = "Fail"
    REPLACE = "Replace"


class Stop(StrEnum):
    FINISH = "Finish"
    CANCEL = "Cancel"


class Source(APIModel):
    """One place that rows come from."""

    uri: DataURI = Field(
        description="Where the rows are: configmap://NAME/KEY, pvc://CLAIM/PATH, hf://datasets/ORG/NAME[@REVISION]/PATH or "
        "https://…; files end in .jsonl, .json, .csv, .parquet or .txt; a path may hold '*'."
    )
    format: RowFormat | None = Field(None, description="How a row is laid out. Left out: told from its columns.")


Share = Annotated[
    str,
    StringConstraints(max_length=9),
    matches("^([1-9][0-9]{0,8}|[1-9][0-9]?%)$", "a share from 1% to 99%, or a whole number of rows, as a string: '5%' or '200' for example"),
]  # fmt: skip


class Dataset(APIModel):
    """What is learnt from."""

    rules: ClassVar = (
        Rule(
            "!(has(self.validation) && has(self.validationSplit))",
            lambda own: own.validation is None or own.validation_split is None,
            "validation and validationSplit exclude each other: name held-out files, or a share of train",
        ),
    )
    train: Annotated[list[Source], Field(min_length=1, max_length=64)] = Field(description="The rows to train on.")
    validation: Annotated[list[Source], Field(min_length=1, max_length=64)] | None = Field(
        None, description="Held-out rows; the loss on them is told before, during and after training."
    )
    validation_split: Share | None = Field(
        None, description='Rows to hold out of train: "5%" or a number of rows, as a string.'
    )
    train_on: TrainOn | None = Field(None, description="Whose words are learnt in a chat. Default: Assistant.")
    overlong: Overlong | None = Field(None, description="What happens to rows beyond maxLength. Default: Truncate.")
    packing: bool | None = Field(
        None, description="Put several rows into one sequence. Default: where the model allows it."
    )


class Hyperparameters(APIModel):
    """What decides what is learnt. Hardware never changes these."""

    rules: ClassVar = (
        Rule(
            "!(has(self.epochs) && has(self.maxSteps))",
            lambda own: own.epochs is None or own.max_steps is None,
            "epochs and maxSteps exclude each other: name one",
        ),
    )
    epochs: float | None = Field(None, gt=0, le=1000, description="Passes over the training rows. Default: 3.")
    max_steps: int | None = Field(None, ge=1, le=10_000_000, description="Optimiser steps, instead of epochs.")
    global_batch_size: int | None = Field(
        None, ge=1, le=65536, description="Examples in one optimiser step, over all pods."
    )
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="Peak learning rate, a number. Default: by method, 2e-4 for LoRA."
    )
    scheduler: Scheduler | None = Field(None, description="How the learning rate falls after warm-up. Default: Cosine.")
    warmup_ratio: Fraction | None = Field(
        None, description="Share of the steps in which the learning rate rises. Default: 0.05."
    )
    weight_decay: float | None = Field(None, ge=0, le=1, description="AdamW's decoupled weight decay. Default: 0.")
    max_grad_norm: float | None = Field(
        None, gt=0, le=1000, description="Gradients are clipped to this norm. Default: 1."
    )
    max_length: int | None = Field(
        None, ge=8, le=1_048_576, description="Longest example, in tokens. Default: by data and model."
    )
    seed: int | None = Field(
        None, ge=0, le=2_147_483_647, description="Seed of order, initialisation and dropout. Default: 42."
    )


class Evaluation(APIModel):
    """What is measured on held-out rows."""

    every_steps: int | None = Field(
        None, ge=1, le=10_000_000, description="Steps between two evaluations. Default: before and after only."
    )
    prompts: Annotated[list[Text], Field(max_length=16)] | None = Field(
        None, description="Prompts answered before and after training, greedily, for the model card."
    )
    max_new_tokens: int | None = Field(
        None, ge=1, le=4096, description="Longest answer to a prompt, in tokens. Default: 64."
    )


class Checkpoint(APIModel):
    """What a fault can cost."""

    every_steps: int | None = Field(
        None, ge=1, le=10_000_000, description="Steps between two checkpoints. Default: a tenth of all."
    )
    keep: int | None = Field(None, ge=1, le=100, description="How many are kept while the job runs. Default: 2.")


class Output(APIModel):
    """Where the result goes."""

    uri: OutputURI = Field(description="pvc://CLAIM/PATH: a folder in an existing PersistentVolumeClaim.")
    if_exists: IfExists | None = Field(
        None, description="What to do when the folder holds another result. Default: Fail."
    )


class Limits(APIModel):
    """Where the job gives up."""

    backoff_limit: int | None = Field(
        None, ge=0, le=100, description="Failed attempts before the job fails; disruptions don't count. Default: 3."
    )


class Credential(APIModel):
    """Which Secret opens which sources."""

    uri_prefix: CredentialPrefix = Field(description="The credential serves URIs that begin so, hf:// for example.")
    secret_name: Name = Field(description="A Secret of this namespace; its key `token` is sent as a bearer token.")


ControllerName = Annotated[
    str,
    StringConstraints(max_length=253),
    matches("^[a-z0-9.-]+/[a-z0-9.-]+$", "a controller's name is DOMAIN/NAME in lower case: example.com/scheduler for example"),
]  # fmt: skip


class FineTuneJobSpec(APIModel):
    """What is to be tuned, from what, and where the result goes."""

    model: ModelReference = Field(description="A BaseModel's name, or hf://ORG/NAME[@REVISION] or pvc://CLAIM/PATH.")
    task: Task | None = Field(None, description="Left out: told from the data.")
    dataset: Dataset = Field(description="What is learnt from.")
    method: Method | None = Field(None, description="How the model is changed. Default: LoRA.")
    hyperparameters: Hyperparameters | None = Field(
        None, description="What decides what is learnt; each has a default."
    )
    evaluation: Evaluation | None = Field(None, description="What is measured on held-out rows.")
    checkpoint: Checkpoint | None = Field(None, description="How often the state is saved.")
    compute: Compute | None = Field(None, description="Hardware; left out, Skipjack chooses.")
    output: Output = Field(description="Where the result goes.")
    limits: Limits | None = Field(None, description="Where the job gives up.")
    suspend: bool | None = Field(
        None, description="true: hardware is released after a checkpoint; false again: training goes on."
    )
    stop: Stop | None = Field(
        None, description="Finish exports what is there and completes; Cancel fails the job. One way."
    )
    credentials: Annotated[list[Credential], Field(max_length=16)] | None = Field(
        None, description="Secrets for sources."
    )
    service_account_name: Name | None = Field(None, description="ServiceAccount of the pods. Default: default.")
    pod: PodSettings | None = Field(None, description="What else may be said of the pods.")
    managed_by: ControllerName | None = Field(
        None, description="Another controller that looks after this job; skipjack.dev/operator or left out: this one."
    )


MUTABLE = frozenset({"suspend", "stop", "limits"})
"""Fields of a spec that may change while a job runs; everything else is fixed once the first attempt started."""
