"""The first half of resolving: before the data is seen."""

from __future__ import annotations

from typing import Any

from ..api.v1alpha1.compute import Compute
from ..api.v1alpha1.dataset import Overlong, TrainOn
from ..api.v1alpha1.finetunejob import FineTuneJobSpec, IfExists
from ..api.v1alpha1.learning import Hyperparameters, Scheduler
from ..methods import MethodDefaults
from .catalogue import Catalogue
from .choices import DEFAULT, OWN, Choices
from .compute import resolve_compute
from .method import default_of, resolve_method
from .resolved import ResolvedCredential, ResolvedModel, ResolvedSource, ResolvedSpec


def resolve_spec(spec: FineTuneJobSpec, name: str, namespace: str, uid: str, catalogue: Catalogue) -> ResolvedSpec:
    """Everything that can be said without the data. Raises SpecRefused with the field and the remedy. Pure and total."""
    choices = Choices()
    compute = resolve_compute(spec.compute or Compute(), catalogue, choices)
    method, about = resolve_method(spec.method, compute, choices)
    return ResolvedSpec.model_validate(
        {
            "job_name": name,
            "namespace": namespace,
            "job_uid": uid,
            "model": _model(spec, catalogue, choices).model_dump(),
            "task": choices.choose("task", spec.task, None, "told by the data"),
            "dataset": _dataset(spec, about, choices),
            "method": method,
            "hyperparameters": _hyperparameters(spec, about, choices),
            "evaluation": _evaluation(spec, choices),
            "checkpoint": {
                "every_steps": choices.choose(
                    "checkpoint.every_steps", spec.checkpoint and spec.checkpoint.every_steps, None, "told by the data"
                ),
                "keep": choices.choose("checkpoint.keep", spec.checkpoint and spec.checkpoint.keep, 2),
            },
            "compute": compute,
            "output": {
                "uri": spec.output.uri.rstrip("/"),
                "if_exists": choices.choose("output.if_exists", spec.output.if_exists, IfExists.FAIL),
            },
            "credentials": [
                ResolvedCredential(uri_prefix=c.uri_prefix, secret_name=c.secret_name).model_dump()
                for c in spec.credentials or ()
            ],
            "origins": choices.origins,
        }
    )


def _model(spec: FineTuneJobSpec, catalogue: Catalogue, choices: Choices) -> ResolvedModel:
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
        "train": [ResolvedSource(uri=s.uri, format=s.format).model_dump() for s in data.train],
        "validation": [ResolvedSource(uri=s.uri, format=s.format).model_dump() for s in data.validation or ()],
        "validation_split": choices.choose(
            "dataset.validation_split", data.validation_split, None, "nothing is held out unless asked"
        ),
        "labels": choices.choose("dataset.labels", data.labels, None, "told by the data"),
        "instruction": choices.choose("dataset.instruction", data.instruction, None, "nothing"),
        "train_on": choices.choose("dataset.train_on", data.train_on, TrainOn.ASSISTANT),
        "overlong": choices.choose("dataset.overlong", data.overlong, Overlong.TRUNCATE),
        "resolution": choices.choose("dataset.resolution", data.resolution, None, "told by the model"),
        "packing": packing,
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
        "seed": choose("seed", 42),
    }


def _evaluation(spec: FineTuneJobSpec, choices: Choices) -> dict[str, Any]:
    own = spec.evaluation
    return {
        "every_steps": choices.choose(
            "evaluation.every_steps", own and own.every_steps, None, "before and after training"
        ),
        "metric": choices.choose("evaluation.metric", own and own.metric, None, "by task"),
        "prompts": list(own.prompts or ()) if own else [],
        "max_new_tokens": choices.choose("evaluation.max_new_tokens", own and own.max_new_tokens, 64),
    }
