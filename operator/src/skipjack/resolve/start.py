"""What `startFrom` means for a job's own settings: the job that it names gives its model, and what isn't said otherwise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api.v1alpha1.finetunejob import FineTuneJobSpec
from ..api.v1alpha1.learning import Hyperparameters
from ..api.v1alpha1.method import Method, MethodType, block_of
from ..api.v1alpha1.start import BEST, LAST, StartState
from .catalogue import Catalogue, SpecRefused
from .choices import OWN, Choices
from .resolved import ResolvedStart

MAY_DIFFER = frozenset({"dropout", "learningRateRatio", "initText", "projection"})
"""Settings of a method that leave the adapter what it is."""
CURSOR = ("globalBatchSize", "seed", "maxLength")
"""What decides which rows a step has: with the full state it can't be changed."""


@dataclass(frozen=True, slots=True)
class Predecessor:
    """The job that another starts from."""

    name: str
    uid: str
    output: str
    """URI of its output."""
    checkpoints: str
    """URI of the folder that it keeps checkpoints in."""
    is_complete: bool
    values: Mapping[str, Any]
    """Its resolved settings, by their names in the spec."""
    is_settled: bool = False
    """Whether `values` are those of the job that starts from it, which were taken from it once."""

    @property
    def kind(self) -> MethodType:
        return MethodType(self.values["method.type"])

    @property
    def model(self) -> str:
        """Where the model lies that its weights, or its adapter, are of."""
        is_whole = self.kind is MethodType.FULL and self.is_complete
        return self.output if is_whole else str(self.values["model.uri"])

    def block(self, prefix: str) -> dict[str, Any]:
        """Those of its settings below `prefix`."""
        begin = f"{prefix}."
        return {
            field.removeprefix(begin): value
            for field, value in self.values.items()
            if field.startswith(begin) and value is not None
        }


def continued(spec: FineTuneJobSpec, before: Predecessor | None, catalogue: Catalogue) -> FineTuneJobSpec:
    """`spec` with what the job before it gives. Raises SpecRefused where the two don't go together."""
    if before is None:
        return spec
    assert spec.start_from is not None, "else there is nothing before it"
    _refuse_other_model(spec, before, catalogue)
    takes_all = spec.start_from.state is StartState.FULL
    method = _method(spec.method, before, takes_all)
    settings = _hyperparameters(spec.hyperparameters, before) if takes_all else spec.hyperparameters
    return spec.model_copy(update={"model": before.model, "method": method, "hyperparameters": settings})


def mark_inherited(own: FineTuneJobSpec, before: Predecessor | None, choices: Choices) -> None:
    """Sets the origins of what wasn't said in the job's own spec but in that of the one before."""
    if before is None:
        return
    origin = f"job {before.name}"
    said = {"model.uri": None} | _said("method", own.method) | _said("hyperparameters", own.hyperparameters)
    for path, told in choices.origins.items():
        if told == OWN and path.partition(".")[0] in ("method", "hyperparameters") and path not in said:
            choices.origins[path] = origin
    choices.origins["model.uri"] = origin


def _said(prefix: str, block: Any) -> dict[str, Any]:
    """Dotted path of each field that is set."""
    if block is None:
        return {}
    found: dict[str, Any] = {}
    for name in block.model_fields_set:
        value = getattr(block, name)
        found |= _said(f"{prefix}.{name}", value) if hasattr(value, "model_fields_set") else {f"{prefix}.{name}": value}
    return found


def _refuse_other_model(spec: FineTuneJobSpec, before: Predecessor, catalogue: Catalogue) -> None:
    if before.is_settled or spec.model is None:
        return
    own = spec.model if "://" in spec.model else catalogue.base_model(spec.model).spec.uri
    theirs = str(before.values["model.uri"])
    if own.partition("@")[0] not in (theirs.partition("@")[0], before.output):
        raise SpecRefused(
            "StartMismatch",
            f"spec.model is {own}, job {before.name} was trained on {theirs}: leave model out, or name that.",
        )


def _method(own: Method | None, before: Predecessor, takes_all: bool) -> Method | None:
    """The method of the one before, with what the person changes of it. Raises SpecRefused."""
    kind, block = before.kind, block_of(before.kind)
    if own is not None and own.type is not kind:
        if not takes_all and MethodType.FULL in (own.type, kind):
            return own
        raise SpecRefused(
            "StartMismatch",
            f"spec.method.type is {own.type.value}, job {before.name} was trained by {kind.value}: leave method out to go on by that, or "
            "choose type Full with state Weights, which merges an adapter into its model first.",
        )
    settings = before.block(f"method.{block}")
    theirs: dict[str, Any] = {"type": kind} | ({block: settings} if block else {})
    if quantization := before.block("method.quantization"):
        theirs["quantization"] = quantization
    if own is None:
        return Method.model_validate(theirs)
    said = own.model_dump(by_alias=True, exclude_none=True)
    for field, value in said.get(block, {}).items() if block else ():
        had = settings.get(field)
        if value != had and field not in MAY_DIFFER:
            raise SpecRefused(
                "StartMismatch",
                f"spec.method.{block}.{field} is {_plain(value)}, of job {before.name} it is {_plain(had)}: leave it out, or set it to that.",
            )
    for field in (block, "quantization"):
        if field and (field in theirs or field in said):
            said[field] = theirs.get(field, {}) | said.get(field, {})
    return Method.model_validate(said)


def _hyperparameters(own: Hyperparameters | None, before: Predecessor) -> Hyperparameters:
    """Those of the one before, but how long it trains. Raises SpecRefused."""
    said = (own or Hyperparameters()).model_dump(by_alias=True, exclude_none=True)
    theirs = before.block("hyperparameters")
    for field in CURSOR:
        if field in said and said[field] != theirs.get(field):
            raise SpecRefused(
                "StartMismatch",
                f"spec.hyperparameters.{field} is {_plain(said[field])}, of job {before.name} it is {_plain(theirs.get(field))}: with "
                "startFrom.state Full it can't change, for it decides which rows come next. Leave it out, or choose state: Weights.",
            )
    if not {"epochs", "maxSteps"} & said.keys():
        raise SpecRefused(
            "StartMismatch",
            "spec.hyperparameters: startFrom.state Full goes on for longer than was planned: say how long in all, by epochs or maxSteps.",
        )
    known = {field for field in theirs if field not in ("epochs", "maxSteps")}
    return Hyperparameters.model_validate({field: theirs[field] for field in known} | said)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def resolved_start(spec: FineTuneJobSpec, before: Predecessor | None, choices: Choices) -> ResolvedStart | None:
    """Where it starts, as the trainer reads it. Raises SpecRefused."""
    own = spec.start_from
    if own is None:
        return None
    uri = (before.output if before else own.uri or "").rstrip("/")
    if uri == spec.output.uri.rstrip("/"):
        raise SpecRefused(
            "StartReplaced",
            f"spec.output.uri: {uri} is what startFrom starts from, and would be replaced: choose another place.",
        )
    state = choices.choose("start_from.state", own.state, StartState.WEIGHTS)
    usual = LAST if state is StartState.FULL else None
    checkpoint = choices.choose("start_from.checkpoint", own.checkpoint, usual, DEFAULT_CHECKPOINT)
    if state is StartState.FULL and checkpoint == BEST:
        raise SpecRefused(
            "StartMismatch",
            "spec.startFrom.checkpoint: state Full goes on from Last or from a step: choose one, or state: Weights.",
        )
    for path in ("start_from.uri", "start_from.job_uid", "start_from.method", "start_from.checkpoints"):
        choices.origins[path] = f"job {before.name}" if before else OWN
    uid, kind = (before.uid, before.kind) if before else (None, None)
    kept = before.checkpoints.rstrip("/") if before else uri
    return ResolvedStart(
        job=own.job, uri=uri, job_uid=uid, method=kind, checkpoint=checkpoint, checkpoints=kept, state=state
    )


DEFAULT_CHECKPOINT = "the job's result, or with state Full its last step"
