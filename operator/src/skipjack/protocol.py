"""What operator and trainer say to each other: names in the pod, exit codes, the last word, and progress samples."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .api.v1alpha1.learning import Metric

GROUP = "skipjack.dev"
JOB_LABEL = f"{GROUP}/job"
JOB_UID_LABEL = f"{GROUP}/job-uid"
ATTEMPT_LABEL = f"{GROUP}/attempt"
CHARGED_ANNOTATION = f"{GROUP}/charged"
"""On an attempt's Job: failed attempts before it that count against `limits.backoffLimit`."""
LAST_END_ANNOTATION = f"{GROUP}/last-end"
"""On an attempt's Job: why the attempt before it ended."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "skipjack"
SPEC_ANNOTATION = f"{GROUP}/resolved-spec"
SPEC_BYTES_MAX = 64 * 1024
TOKEN_AUDIENCE = f"progress.{GROUP}"

SPEC_PATH = "/etc/skipjack/podinfo/resolved-spec"
TOKEN_PATH = "/var/run/secrets/skipjack/token"
CLAIMS_PATH = "/mnt/claims"
CONFIGMAPS_PATH = "/mnt/configmaps"
CREDENTIALS_PATH = "/mnt/credentials"
SCRATCH_PATH = "/scratch"
MODEL_CACHE_PATH = "/mnt/model-cache"
TERMINATION_PATH = "/dev/termination-log"
TERMINATION_BYTES_MAX = 4096
"""Kubernetes cuts a termination message there without a word."""

ENV_ATTEMPT = "SKIPJACK_ATTEMPT"
ENV_PROGRESS_URL = "SKIPJACK_PROGRESS_URL"
ENV_PLAIN_REGISTRIES = "SKIPJACK_PLAIN_HTTP_REGISTRIES"
"""HOST:PORT of registries without TLS, with commas between them: the operator has them from its chart, and hands them on to trainers."""
ENV_INDEX = "JOB_COMPLETION_INDEX"
ENV_MASTER = "SKIPJACK_MASTER"
ENV_MODEL_CACHE_BYTES = "SKIPJACK_MODEL_CACHE_BYTES"
"""The most that MODEL_CACHE_PATH may take; not set where there is none."""
MLFLOW_TOKEN = "MLFLOW_TRACKING_TOKEN"
MLFLOW_USERNAME = "MLFLOW_TRACKING_USERNAME"
MLFLOW_PASSWORD = "MLFLOW_TRACKING_PASSWORD"
RENDEZVOUS_PORT = 29500


class FailureReason(StrEnum):
    """Why an attempt or a job ended without its result. The one enum that conditions, exit codes and metrics share."""

    DATA_INVALID = "DataInvalid"
    DATA_NOT_FOUND = "DataNotFound"
    MODEL_NOT_FOUND = "ModelNotFound"
    MODEL_UNSUPPORTED = "ModelUnsupported"
    ACCESS_DENIED = "AccessDenied"
    OUT_OF_MEMORY = "OutOfMemory"
    NO_SPACE = "NoSpace"
    OUTPUT_EXISTS = "OutputExists"
    CONFIGURATION_INVALID = "ConfigurationInvalid"
    DIVERGED = "Diverged"
    PEER_LOST = "PeerLost"
    INTERRUPTED = "Interrupted"
    STORAGE_FAILED = "StorageFailed"
    EXPORT_FAILED = "ExportFailed"
    DISRUPTED = "Disrupted"
    CANCELLED = "Cancelled"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    POD_UNSTARTABLE = "PodUnstartable"
    TRAINER_ERROR = "TrainerError"


class ExitCode(IntEnum):
    """How the trainer ends. Above 127 a shell would mean a signal, below 3 Python and shells have their own uses."""

    OK = 0
    TRAINER_ERROR = 1
    DATA_INVALID = 10
    DATA_NOT_FOUND = 11
    MODEL_NOT_FOUND = 12
    ACCESS_DENIED = 13
    OUT_OF_MEMORY = 14
    NO_SPACE = 15
    OUTPUT_EXISTS = 16
    CONFIGURATION_INVALID = 17
    DIVERGED = 18
    PEER_LOST = 19
    INTERRUPTED = 20
    STORAGE_FAILED = 21
    MODEL_UNSUPPORTED = 22
    EXPORT_FAILED = 23

    @property
    def reason(self) -> FailureReason:
        return FailureReason[self.name]

    @classmethod
    def of(cls, reason: FailureReason) -> ExitCode:
        """The code that tells `reason`; TRAINER_ERROR for reasons that only the operator gives."""
        return cls.__members__.get(reason.name, cls.TRAINER_ERROR)


RETRYABLE = frozenset(
    {
        FailureReason.PEER_LOST,
        FailureReason.INTERRUPTED,
        FailureReason.STORAGE_FAILED,
        FailureReason.DISRUPTED,
        FailureReason.OUT_OF_MEMORY,
        FailureReason.TRAINER_ERROR,
    }
)
"""Another attempt may end differently. The others fail the job at once: the same data, model and spec would fail again."""

UNCHARGED = frozenset({FailureReason.INTERRUPTED, FailureReason.DISRUPTED})
"""The cluster's doing, not the job's: these never consume `limits.backoffLimit`."""


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class StoredFormat(Message):
    """One form of a result, as it lies in the output."""

    type: str
    quantization: str | None = None
    path: str
    """Its folder in the output; '.': the output itself."""
    digest: str
    bytes: int
    difference: float | None = None
    """The greatest from the model as it was trained, in logits, or in log-probabilities; None where nothing was converted."""

    @property
    def title(self) -> str:
        """As messages call it."""
        return f"{self.type} {self.quantization}" if self.quantization else self.type


class Result(Message):
    """The termination message of rank 0: enough alone to tell the story, at most TERMINATION_BYTES_MAX bytes as JSON."""

    reason: FailureReason | None = None
    message: str = ""
    step: int = 0
    steps: int = 0
    stored_step: int | None = None
    """Of the weights that are stored."""
    best_step: int | None = None
    """Of the best evaluation, where evaluations were compared."""
    output_uri: str | None = None
    output_digest: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    formats: tuple[StoredFormat, ...] = ()
    """Those that were asked for."""

    def encode(self) -> str:
        """JSON that fits: a message that is too long loses its end, and says so."""
        text = self.model_dump_json(exclude_defaults=True)
        if len(text.encode()) <= TERMINATION_BYTES_MAX:
            return text
        shorter = [
            self._cut(length).model_dump_json(exclude_defaults=True) for length in range(len(self.message), -1, -64)
        ]
        return next(
            (text for text in shorter if len(text.encode()) <= TERMINATION_BYTES_MAX), self._cut(0).model_dump_json()
        )

    def _cut(self, length: int) -> Result:
        return self.model_copy(update={"message": self.message[:length] + " … (cut)"})


class ResolvedValue(Message):
    """One resolved setting: its dotted field, its value as JSON, and where it came from."""

    field: str
    value: str
    origin: str


class Sample(Message):
    """One progress post of rank 0. Posts are ordered by (attempt, the pod's uid as the token tells it, step)."""

    attempt: int = Field(ge=1)
    step: int = Field(ge=0)
    steps: int = Field(ge=0)
    epoch: float = Field(ge=0)
    loss: float | None = None
    learning_rate: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None
    heldout_loss: float | None = None
    metric: Metric | None = None
    """What held-out rows are judged by, and the last value of it."""
    metric_value: float | None = None
    best_step: int | None = None
    """Where that was best."""
    checkpoint_step: int | None = None
    phase: Literal["Preparing", "Training", "Exporting"] = "Training"
    resolved: list[ResolvedValue] | None = None
    """What `resolve_data` decided; sent once an attempt."""
    facts: dict[str, int] | None = None
    """Rows, tokens and lengths of the checked data; sent with `resolved`."""


class Answer(Message):
    """The operator's answer to a sample: whether the person asked to stop."""

    stop: Literal["Finish"] | None = None
