"""FineTuneJob: a model, a dataset, an output; the rest is optional and told back."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from .common import APIModel, Name
from .compute import Compute
from .dataset import Dataset, Task
from .formats import Formats
from .integration import Integrations
from .learning import Checkpoint, Evaluation, Hyperparameters
from .method import Method
from .pod import PodSettings
from .preference import Preference
from .rules import Rule, matches
from .start import StartFrom
from .uris import CredentialPrefix, ModelReference, OutputURI, takes_results_alone


class IfExists(StrEnum):
    FAIL = "Fail"
    REPLACE = "Replace"


class Stop(StrEnum):
    FINISH = "Finish"
    CANCEL = "Cancel"


class Output(APIModel):
    """Where the result goes."""

    uri: OutputURI = Field(
        description="pvc://CLAIM/PATH, a folder in an existing PersistentVolumeClaim, s3://BUCKET/PATH, az://CONTAINER/PATH or gs://BUCKET/PATH; "
        "oci://REGISTRY/REPOSITORY:TAG or hf://ORG/NAME[@BRANCH], where the result is pushed in one act and checkpoint.uri says where "
        "checkpoints go."
    )
    if_exists: IfExists | None = Field(
        None, description="What to do when the folder holds another result. Default: Fail."
    )
    formats: Formats | None = Field(
        None,
        description="What the result is written as: each beside what was trained, in a folder of its own. Default: what was trained alone.",
    )


class Limits(APIModel):
    """Where the job gives up."""

    backoff_limit: int | None = Field(
        None, ge=0, le=100, description="Failed attempts before the job fails; disruptions don't count. Default: 3."
    )


class Credential(APIModel):
    """Which Secret opens which URIs."""

    uri_prefix: CredentialPrefix = Field(description="The credential serves URIs that begin so, s3:// for example.")
    secret_name: Name = Field(
        description="A Secret of this namespace. Of hf:// and https:// its key `token` is sent as a bearer token; docs/storage.md has the keys of "
        "s3://, az://, gs:// and oci://."
    )


ControllerName = Annotated[
    str,
    StringConstraints(max_length=253),
    matches("^[a-z0-9.-]+/[a-z0-9.-]+$", "a controller's name is DOMAIN/NAME in lower case: example.com/scheduler for example"),
]  # fmt: skip


class FineTuneJobSpec(APIModel):
    """What is to be tuned, from what, and where the result goes."""

    rules: ClassVar = (
        Rule(
            "has(self.model) || has(self.startFrom)",
            lambda own: own.model is not None or own.start_from is not None,
            "there is nothing to tune: name a model (phi-3-mini or hf://ORG/NAME for example), or what to startFrom",
        ),
        Rule(
            "!self.output.uri.matches('^(oci|hf)://') || (has(self.checkpoint) && has(self.checkpoint.uri))",
            lambda own: not takes_results_alone(own.output.uri) or bool(own.checkpoint and own.checkpoint.uri),
            "output.uri is oci:// or hf://, which take results and no checkpoints: say in checkpoint.uri where these go while the job runs, "
            "pvc://work/support-bot for example",
        ),
    )
    model: ModelReference | None = Field(
        None,
        description="A BaseModel's name, or hf://ORG/NAME[@REVISION], pvc://CLAIM/PATH, s3://BUCKET/PATH, az://CONTAINER/PATH, "
        "gs://BUCKET/PATH or oci://REGISTRY/REPOSITORY:TAG. May be left out with startFrom, which tells it.",
    )
    start_from: StartFrom | None = Field(
        None, description="Weights to begin with: another job's, an adapter, a model. Default: the base model as it is."
    )
    task: Task | None = Field(None, description="Left out: told from the data.")
    dataset: Dataset = Field(description="What is learnt from.")
    method: Method | None = Field(None, description="How the model is changed. Default: LoRA.")
    preference: Preference | None = Field(
        None,
        description="The loss of a preference tuning. Default: DPO for pairs of answers, KTO for single ones with a label.",
    )
    hyperparameters: Hyperparameters | None = Field(
        None, description="What decides what is learnt; each has a default."
    )
    evaluation: Evaluation | None = Field(None, description="What is measured on held-out rows.")
    checkpoint: Checkpoint | None = Field(None, description="How often the state is saved.")
    compute: Compute | None = Field(None, description="Hardware; left out, Skipjack chooses.")
    output: Output = Field(description="Where the result goes.")
    integrations: Integrations | None = Field(None, description="Trackers of experiments that hear of the run.")
    limits: Limits | None = Field(None, description="Where the job gives up.")
    suspend: bool | None = Field(
        None, description="true: hardware is released after a checkpoint; false again: training goes on."
    )
    stop: Stop | None = Field(
        None, description="Finish exports what is there and completes; Cancel fails the job. One way."
    )
    credentials: Annotated[list[Credential], Field(max_length=16)] | None = Field(
        None, description="Secrets that open models, data and outputs."
    )
    service_account_name: Name | None = Field(None, description="ServiceAccount of the pods. Default: default.")
    pod: PodSettings | None = Field(None, description="What else may be said of the pods.")
    managed_by: ControllerName | None = Field(
        None, description="Another controller that looks after this job; skipjack.dev/operator or left out: this one."
    )


MUTABLE = frozenset({"suspend", "stop", "limits"})
"""Fields of a spec that may change while a job runs; everything else is fixed once the first attempt started."""
