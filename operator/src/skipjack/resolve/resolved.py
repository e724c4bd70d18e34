"""The resolved spec: what the trainer reads instead of defaults of its own. It travels as an annotation of the pods."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ..api.v1alpha1.compute import OptimizerOffload, ParameterOffload, Precision, Strategy
from ..api.v1alpha1.dataset import ChatTemplate, Overlong, RowFormat, Task, TrainOn
from ..api.v1alpha1.finetunejob import IfExists
from ..api.v1alpha1.formats import FormatQuantization, FormatType
from ..api.v1alpha1.integration import IntegrationType
from ..api.v1alpha1.learning import Metric, Scheduler
from ..api.v1alpha1.method import MethodType, QuantizationType
from ..api.v1alpha1.preference import PreferenceLoss
from ..api.v1alpha1.start import StartState
from ..protocol import ResolvedValue


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ResolvedSource(Frozen):
    uri: str
    subset: str | None = None
    split: str | None = None
    format: RowFormat | None = None
    columns: dict[str, str] = Field(default_factory=dict)
    """A layout's field → the column that holds it."""
    weight: float = 1.0
    """How often each row is seen in an epoch."""

    @property
    def title(self) -> str:
        """As messages call it."""
        chosen = [f"{key} {value}" for key, value in (("subset", self.subset), ("split", self.split)) if value]
        return f"{self.uri} ({', '.join(chosen)})" if chosen else self.uri


class ResolvedDataset(Frozen):
    train: tuple[ResolvedSource, ...]
    validation: tuple[ResolvedSource, ...] = ()
    validation_split: str | None = None
    labels: tuple[str, ...] | None = None
    """None: those in train."""
    instruction: str | None = None
    chat_template: ChatTemplate | None = None
    """None: the model's own."""
    stride: int = 128
    train_on: TrainOn
    overlong: Overlong
    resolution: int | None = None
    """Pixels of a picture's width and height; None until the model is known, and where there are no pictures."""
    packing: bool


class ResolvedLoRA(Frozen):
    """None where the method has no such thing."""

    rank: int
    alpha: float | None = None
    dropout: float | None = None
    target_modules: tuple[str, ...] | None = None
    """None: every linear layer but the output head."""
    dora: bool = False
    rank_stabilized: bool = False
    learning_rate_ratio: float = 1.0


class ResolvedOrthogonal(Frozen):
    block_size: int
    butterfly_factors: int = 1
    dropout: float
    target_modules: tuple[str, ...] | None = None


class ResolvedFourier(Frozen):
    frequencies: int
    scaling: float
    target_modules: tuple[str, ...] | None = None


class ResolvedIA3(Frozen):
    target_modules: tuple[str, ...] | None = None
    """None: keys, values and the feed-forward's last layer."""


class ResolvedPrompt(Frozen):
    virtual_tokens: int
    init_text: str | None = None
    projection: bool = False
    hidden_size: int | None = None
    """None: as wide as the model."""


class ResolvedQuantization(Frozen):
    type: QuantizationType
    double_quant: bool


class ResolvedMethod(Frozen):
    """The type, and the one block that holds its settings."""

    type: MethodType
    lora: ResolvedLoRA | None = None
    orthogonal: ResolvedOrthogonal | None = None
    fourier: ResolvedFourier | None = None
    ia3: ResolvedIA3 | None = None
    prompt: ResolvedPrompt | None = None
    quantization: ResolvedQuantization | None = None
    """None: the base is held as it is."""


class ResolvedPreference(Frozen):
    """None where the loss has no such thing."""

    loss: PreferenceLoss
    beta: float
    label_smoothing: float | None = None
    gamma: float | None = None
    desirable_weight: float | None = None
    undesirable_weight: float | None = None
    sft_weight: float | None = None


class ResolvedHyperparameters(Frozen):
    epochs: float | None
    max_steps: int | None
    global_batch_size: int | None
    learning_rate: float
    scheduler: Scheduler
    warmup_ratio: float
    weight_decay: float
    max_grad_norm: float
    max_length: int | None
    class_weights: dict[str, float] | None = None
    """By label; 1 for those that aren't in it."""
    balance_classes: bool = False
    label_smoothing: float = 0.0
    neftune_alpha: float | None = None
    """None: no noise."""
    seed: int


class ResolvedEarlyStopping(Frozen):
    patience: int
    min_delta: float


class ResolvedEvaluation(Frozen):
    every_steps: int | None
    """None: before and after training only."""
    metric: Metric | None
    """None until the task is known."""
    keep_best: bool
    early_stopping: ResolvedEarlyStopping | None = None
    prompts: tuple[str, ...]
    max_new_tokens: int
    temperature: float
    """0: the likeliest word, always."""
    top_p: float

    @property
    def watches(self) -> bool:
        """Whether anything depends on how evaluations compare."""
        return self.keep_best or self.early_stopping is not None


class ResolvedCheckpoint(Frozen):
    uri: str
    """The folder below which a job's lie by its uid."""
    every_steps: int | None
    keep: int
    keep_final: bool
    """Whether the last step's is kept beside the result."""


class ResolvedOffload(Frozen):
    """Where each lies; None: with the model."""

    optimizer: OptimizerOffload | None
    parameters: ParameterOffload | None


class ResolvedCompute(Frozen):
    """What the pods ask for; quantities as Kubernetes writes them."""

    node_type: str
    nodes: int
    processes_per_node: int
    accelerator_resource: str | None
    accelerators_per_node: int
    cpu: str
    cpu_limit: str
    memory: str
    precision: Precision
    strategy: Strategy
    offload: ResolvedOffload
    gradient_checkpointing: bool
    micro_batch_tokens: int | None


class ResolvedFormat(Frozen):
    type: FormatType
    quantization: FormatQuantization | None = None
    """None: weights are held as they were trained."""

    @property
    def title(self) -> str:
        """As messages call it."""
        return f"{self.type.value} {self.quantization.value}" if self.quantization else self.type.value


class ResolvedOutput(Frozen):
    uri: str
    if_exists: IfExists
    formats: tuple[ResolvedFormat, ...] = ()
    """Those that were asked for. What was trained is stored in any case."""


class ResolvedCredential(Frozen):
    uri_prefix: str
    secret_name: str


class ResolvedIntegration(Frozen):
    type: IntegrationType
    uri: str | None = None
    """None for those that write files."""
    experiment: str
    run: str
    secret_name: str | None = None


class ResolvedModel(Frozen):
    name: str
    uri: str
    context_length: int | None = None


class ResolvedStart(Frozen):
    """What training begins with."""

    job: str | None
    uri: str
    """An adapter, a model, or a job's output."""
    job_uid: str | None
    """None: told by the output itself, where a job wrote it."""
    method: MethodType | None
    """Of the job; None: told by what lies there."""
    checkpoint: str | None
    """Best, Last or a step; None: what is stored as the result."""
    checkpoints: str
    """The folder below which the job's checkpoints lie."""
    state: StartState


class ResolvedSpec(Frozen):
    """Every setting of one job. Those that only the data tells are None until `resolve_data`."""

    job_name: str
    namespace: str
    job_uid: str
    model: ResolvedModel
    start_from: ResolvedStart | None = None
    task: Task | None
    dataset: ResolvedDataset
    method: ResolvedMethod
    preference: ResolvedPreference | None = None
    """None for other tasks, and until `resolve_data` where the spec says nothing of it."""
    hyperparameters: ResolvedHyperparameters
    evaluation: ResolvedEvaluation
    checkpoint: ResolvedCheckpoint
    compute: ResolvedCompute
    output: ResolvedOutput
    credentials: tuple[ResolvedCredential, ...] = ()
    integrations: tuple[ResolvedIntegration, ...] = ()
    origins: dict[str, str] = Field(default_factory=dict)
    """Dotted field → where its value comes from."""

    def told(self) -> tuple[ResolvedValue, ...]:
        """The values that have an origin, for status and for the model card."""
        data = self.model_dump(mode="json")
        return tuple(
            ResolvedValue(field=camel(path), value=json.dumps(_at(data, path)), origin=origin)
            for path, origin in sorted(self.origins.items())
        )

    def pinned(self, values: Iterable[ResolvedValue]) -> ResolvedSpec:
        """This spec with `values`, as an earlier attempt told them: what was decided once stays, across upgrades and retries."""
        data = self.model_dump(mode="json")
        known = {camel(path): path for path in (*self.origins, *TOLD_LATER)}
        for value in values:
            if path := known.get(value.field):
                _put(data, path, json.loads(value.value))
                data["origins"][path] = value.origin
        return ResolvedSpec.model_validate(data)

    def deciding(self, decisions: dict[str, tuple[Any, str]]) -> ResolvedSpec:
        """This spec with each dotted path set to (value, origin)."""
        data = self.model_dump(mode="json")
        for path, (value, origin) in decisions.items():
            _put(data, path, value)
            data["origins"][path] = origin
        return ResolvedSpec.model_validate(data)


TOLD_LATER = tuple(f"preference.{name}" for name in ResolvedPreference.model_fields)
"""Fields of a block that is not there until the data calls for it."""


def camel(path: str) -> str:
    """hyperparameters.learning_rate → hyperparameters.learningRate, as the spec writes it."""
    head, *rest = path.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def _at(data: dict[str, Any], path: str) -> Any:
    value: Any = data
    for key in path.split("."):
        value = None if value is None else value[key]
    return value


def _put(data: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for key in parents:
        if data[key] is None:
            data[key] = {}
        data = data[key]
    data[last] = value
