"""The first half of resolving: before the data is seen."""

from __future__ import annotations

from typing import Any

from ..api.v1alpha1.compute import Compute
from ..api.v1alpha1.dataset import Overlong, TrainOn
from ..api.v1alpha1.finetunejob import FineTuneJobSpec, IfExists
from ..api.v1alpha1.learning import Checkpoint, EarlyStopping, Evaluation, Hyperparameters, Scheduler
from ..api.v1alpha1.method import MethodType
from ..methods import MethodDefaults
from ..tasks import TASKS
from .catalogue import Catalogue, SpecRefused
from .choices import DEFAULT, OWN, Choices
from .compute import resolve_compute
from .foreign import refuse_foreign
from .formats import resolve_formats
from .labels import refuse_labels
from .method import default_of, resolve_method
from .preference import resolve_preference
from .resolved import ResolvedCredential, ResolvedIntegration, ResolvedModel, ResolvedSpec
from .start import Predecessor, continued, mark_inherited, resolved_start

STRIDE_BY_DEFAULT = 128
"""Tokens; with windows of 384, as in the script that came with BERT (google-research/bert, run_squad.py: doc_stride)."""


def resolve_spec(
    spec: FineTuneJobSpec, name: str, namespace: str, uid: str, catalogue: Catalogue, before: Predecessor | None = None
) -> ResolvedSpec:
    """Everything that can be said without the data; `before` is the job that it starts from.

    Raises SpecRefused with the field and the remedy. Pure and total.
    """
    refuse_labels(spec)
    choices, own = Choices(), spec
    compute = resolve_compute(spec.compute or Compute(), catalogue, choices)
    spec = continued(own, before, catalogue)
    method, about = resolve_method(spec.method, compute, choices)
    settings = {
        "model": _model(spec, catalogue, choices).model_dump(),
        "method": method,
        "hyperparameters": _hyperparameters(spec, about, choices),
    }
    mark_inherited(own, before, choices)
    start = resolved_start(own, before, choices)
    resolved = ResolvedSpec.model_validate(
        settings
        | {
            "job_name": name,
            "namespace": namespace,
            "job_uid": uid,
            "start_from": start and start.model_dump(),
            "task": choices.choose("task", spec.task, None, "told by the data"),
            "dataset": _dataset(spec, about, choices),
            "preference": resolve_preference(spec.preference, choices),
            "evaluation": _evaluation(spec, choices),
            "checkpoint": _checkpoint(spec, method["type"], choices),
            "compute": compute,
            "output": {
                "uri": spec.output.uri.rstrip("/"),
                "if_exists": choices.choose("output.if_exists", spec.output.if_exists, IfExists.FAIL),
                "formats": resolve_formats(spec.output.formats, method["type"], choices),
            },
            "credentials": [
                ResolvedCredential(uri_prefix=c.uri_prefix, secret_name=c.secret_name).model_dump()
                for c in spec.credentials or ()
            ],
            "integrations": [
                ResolvedIntegration(
                    type=i.type,
                    uri=i.uri,
                    experiment=i.experiment or namespace,
                    run=i.run or name,
                    secret_name=i.secret_name,
                ).model_dump()
                for i in spec.integrations or ()
            ],
            "origins": choices.origins,
        }
    )
    if resolved.task is not None:
        refuse_foreign(resolved, resolved.task)
    return resolved


def _model(spec: FineTuneJobSpec, catalogue: Catalogue, choices: Choices) -> ResolvedModel:
    if spec.model is None:
        assert spec.start_from is not None, "the spec's rule: a model, or what to start from"
        uri = spec.start_from.uri or ""
        choices.origins["model.uri"] = "startFrom.uri"
        return ResolvedModel(name=uri, uri=uri)
    if "://" in spec.model:
        choices.origins["model.uri"] = OWN
        return ResolvedModel(name=spec.model, uri=spec.model)
    known = catalogue.base_model(spec.model)
    choices.origins["model.uri"] = f"BaseModel {known.name}"
    return ResolvedModel(name=known.name, uri=known.spec.uri, context_length=known.spec.context_length)


def _dataset(spec: FineTuneJobSpec, method: MethodDefaults, choices: Choices) -> dict[str, Any]:
    data = spec.dataset
    packing = choices.choose("dataset.packing", data.packing, True, "default, where the model allows it")
    if packing and not method.packs:
        packing = False
        choices.origins["dataset.packing"] = "off: virtual tokens stand before the first of packed rows alone"
    return {
        "train": [source.model_dump(exclude_none=True) for source in data.train],
        "validation": [source.model_dump(exclude_none=True) for source in data.validation or ()],
        "validation_split": choices.choose(
            "dataset.validation_split", data.validation_split, None, "nothing is held out unless asked"
        ),
        "labels": choices.choose("dataset.labels", data.labels, None, "told by the data"),
        "instruction": choices.choose("dataset.instruction", data.instruction, None, "nothing"),
        "chat_template": choices.choose("dataset.chat_template", data.chat_template, None, "the model's own"),
        "stride": _stride(spec, choices),
        "train_on": choices.choose("dataset.train_on", data.train_on, TrainOn.ASSISTANT),
        "overlong": choices.choose("dataset.overlong", data.overlong, Overlong.TRUNCATE),
        "resolution": choices.choose("dataset.resolution", data.resolution, None, "told by the model"),
        "packing": packing,
    }


def _stride(spec: FineTuneJobSpec, choices: Choices) -> int:
    own, window = spec.dataset.stride, spec.hyperparameters.max_length if spec.hyperparameters else None
    if own is not None and window is not None and own >= window:
        raise SpecRefused(
            "StrideTooLarge",
            f"spec.dataset.stride: windows of {window} tokens (hyperparameters.maxLength) can't share {own}: set it to {window // 3} or less.",
        )
    default = min(STRIDE_BY_DEFAULT, window // 3) if window else STRIDE_BY_DEFAULT
    origin = DEFAULT if default == STRIDE_BY_DEFAULT else "a third of maxLength"
    stride: int = choices.choose("dataset.stride", own, default, origin)
    return stride


def _checkpoint(spec: FineTuneJobSpec, kind: MethodType, choices: Choices) -> dict[str, Any]:
    own = spec.checkpoint or Checkpoint()
    is_small = kind is not MethodType.FULL
    return {
        "uri": choices.choose(
            "checkpoint.uri", own.uri and own.uri.rstrip("/"), spec.output.uri.rstrip("/"), "beside the result"
        ),
        "every_steps": choices.choose("checkpoint.every_steps", own.every_steps, None, "told by the data"),
        "keep": choices.choose("checkpoint.keep", own.keep, 2),
        "keep_final": choices.choose("checkpoint.keep_final", own.keep_final, is_small, f"default of {kind.value}"),
    }


def _hyperparameters(spec: FineTuneJobSpec, method: MethodDefaults, choices: Choices) -> dict[str, Any]:
    own = spec.hyperparameters or Hyperparameters()

    def choose(field: str, default: Any, origin: str = DEFAULT) -> Any:
        return choices.choose(f"hyperparameters.{field}", getattr(own, field), default, origin)

    return {
        "epochs": choose(
            "epochs", None if own.max_steps else 3.0, "not used: maxSteps is given" if own.max_steps else DEFAULT
        ),
        "max_steps": choose("max_steps", None, "told by the data"),
        "global_batch_size": choose("global_batch_size", None, "told by the data"),
        "learning_rate": choose("learning_rate", method.learning_rate, default_of(spec.method)),
        "scheduler": choose("scheduler", Scheduler.COSINE),
        "warmup_ratio": choose("warmup_ratio", 0.05),
        "weight_decay": choose("weight_decay", 0.0),
        "max_grad_norm": choose("max_grad_norm", 1.0),
        "max_length": choose("max_length", None, "told by the data"),
        "class_weights": choose("class_weights", None, "every class counts the same"),
        "balance_classes": choose("balance_classes", False),
        "label_smoothing": choose("label_smoothing", 0.0),
        "neftune_alpha": choose("neftune_alpha", None, "no noise unless asked"),
        "seed": choose("seed", 42),
    }


def _evaluation(spec: FineTuneJobSpec, choices: Choices) -> dict[str, Any]:
    own = spec.evaluation or Evaluation()
    _refuse_unmeasured(spec, own)

    def choose(field: str, default: Any, origin: str = DEFAULT) -> Any:
        return choices.choose(f"evaluation.{field}", getattr(own, field), default, origin)

    return {
        "every_steps": choose("every_steps", None, "before and after training"),
        "metric": choose("metric", None, "by task"),
        "keep_best": choose("keep_best", False),
        "early_stopping": _early_stopping(own.early_stopping, choices),
        "prompts": list(own.prompts or ()),
        "max_new_tokens": choose("max_new_tokens", 64),
        "temperature": choose("temperature", 0.0),
        "top_p": choose("top_p", 1.0),
    }


def _early_stopping(own: EarlyStopping | None, choices: Choices) -> dict[str, Any] | None:
    if own is None:
        return None
    return {
        "patience": choices.choose("evaluation.early_stopping.patience", own.patience, None),
        "min_delta": choices.choose("evaluation.early_stopping.min_delta", own.min_delta, 0.0),
    }


def _refuse_unmeasured(spec: FineTuneJobSpec, own: Evaluation) -> None:
    """Raises SpecRefused for a measure that the task hasn't, and where evaluations would decide and there is nothing to evaluate on."""
    if spec.task is not None and own.metric is not None and own.metric not in TASKS[spec.task].metrics:
        able = ", ".join(metric.value for metric in TASKS[spec.task].metrics)
        raise SpecRefused(
            "MetricUnsupported",
            f"spec.evaluation.metric: {spec.task.value} isn't judged by {own.metric.value}, it is by {able}: choose one of these.",
        )
    deciding = "keepBest" if own.keep_best else "earlyStopping" if own.early_stopping else None
    if deciding and spec.dataset.validation is None and spec.dataset.validation_split is None:
        raise SpecRefused(
            "HeldOutRowsMissing",
            f"spec.evaluation.{deciding} judges by held-out rows, and there are none: name dataset.validation, or a dataset.validationSplit.",
        )
