"""Who else hears of a run: experiment trackers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from .common import APIModel, Name
from .rules import Rule, matches, never


class IntegrationType(StrEnum):
    MLFLOW = "MLflow"
    TENSORBOARD = "TensorBoard"
    WANDB = "WandB"


TrackerURI = Annotated[
    str,
    StringConstraints(max_length=1024),
    matches(r"^https?://[^\x00-\x20\x7f/?#]+(/[^\x00-\x20\x7f?#]*)?$", "a tracking server is at http://HOST:PORT or https://HOST/PATH, without "
            "spaces, '?' or '#': http://mlflow.tracking:5000 for example"),
    never("^[a-z]+://[^/]*@", "the uri of a tracking server holds no user or password: name a Secret in secretName"),
]  # fmt: skip
RunName = Annotated[
    str,
    StringConstraints(max_length=128),
    matches("^[A-Za-z0-9_]([-A-Za-z0-9_. ]*[-A-Za-z0-9_])?$", "the name of a run or an experiment holds letters, digits, spaces, '-', '_' and '.', and "
            "neither begins nor ends with a space or '.': support bot 2 for example"),
]  # fmt: skip


class Integration(APIModel):
    """A tracker of experiments. None of them can delay a step or fail a job."""

    rules: ClassVar = (
        Rule(
            "has(self.uri) == (self.type == 'MLflow')",
            lambda own: (own.uri is not None) == (own.type is IntegrationType.MLFLOW),
            "uri is where an MLflow server listens, and MLflow needs one; TensorBoard and WandB write files beside the output and have none: "
            "name it for MLflow, http://mlflow.tracking:5000 for example, else remove it",
        ),
        Rule(
            "!has(self.secretName) || self.type == 'MLflow'",
            lambda own: own.secret_name is None or own.type is IntegrationType.MLFLOW,
            "secretName opens an MLflow server; TensorBoard and WandB write files and need none: remove it",
        ),
        Rule(
            "!has(self.experiment) || self.type != 'TensorBoard'",
            lambda own: own.experiment is None or own.type is not IntegrationType.TENSORBOARD,
            "TensorBoard knows runs and no experiments: remove experiment, or name the run",
        ),
    )
    type: IntegrationType = Field(
        description="MLflow: a server, told while the job runs. TensorBoard, WandB (Weights & Biases, offline): files in the folders "
        "tensorboard/ and wandb/ of the output."
    )
    uri: TrackerURI | None = Field(None, description="Where the MLflow server listens: http://mlflow.tracking:5000.")
    experiment: RunName | None = Field(
        None, description="MLflow's experiment, Weights & Biases' project. Default: the job's namespace."
    )
    run: RunName | None = Field(None, description="What the run is called. Default: the job's name.")
    secret_name: Name | None = Field(
        None,
        description="A Secret of this namespace that opens the MLflow server; its keys are MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME "
        "and MLFLOW_TRACKING_PASSWORD.",
    )


ONE_OF_EACH = Rule(
    "self.all(one, self.exists_one(other, other.type == one.type))",
    lambda entries: len({entry.type for entry in entries}) == len(entries),
    "at most one integration of each type: remove the others",
)
Integrations = Annotated[list[Integration], Field(max_length=len(IntegrationType)), ONE_OF_EACH]
