"""What training begins with beside the base model: another job's weights, an adapter, another model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skipjack.api.v1alpha1.method import MethodType
from skipjack.api.v1alpha1.start import BEST, LAST, StartState
from skipjack.protocol import Result
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.resolved import ResolvedStart

from .adapter import ADAPTER_CONFIG, TENSORS, agreed, set_adapter
from .engine.checkpoint import STATE, Checkpoints, State, step_of
from .engine.parts import take_weights
from .engine.peers import Peers
from .engine.strategies import Strategy
from .errors import ConfigurationInvalid, ModelNotFound, of_a_model
from .export.merge import merge
from .export.output import MARK, checkpoints_of
from .methods import METHODS
from .storage import Access, Located, open_store, peek


@dataclass(frozen=True, slots=True)
class Start:
    """Where the weights are that training begins with."""

    title: str
    """As people call it."""
    kind: StartState
    lineage: tuple[str, ...]
    """How these weights came about, the oldest first; this start is the last."""
    adapter: Path | None = None
    """The folder of a stored adapter that is taken, or merged."""
    checkpoints: Checkpoints | None = None
    step: int | None = None
    """Of the checkpoint that is taken."""

    def merged(self, base: Any, spec: ResolvedSpec) -> Any:
        """The base model, with the adapter in its weights where all of them are to be trained."""
        return merge(base, self.adapter) if self.adapter and spec.method.type is MethodType.FULL else base

    @property
    def goes_on(self) -> bool:
        """Whether all of a job's state is taken up."""
        return self.kind is StartState.FULL

    @property
    def is_adapter(self) -> bool:
        """Whether weights are taken once the method is attached, so that the model with its adapter is where training begins."""
        return self.adapter is not None or self.checkpoints is not None

    def take(self, model: Any, spec: ResolvedSpec, peers: Peers) -> None:
        """Gives the model, which no strategy has laid out yet, the weights that it starts from. All ranks must call it.

        Raises ConfigurationInvalid where they are not those of what is trained here, ModelNotFound.
        """
        if self.checkpoints is not None:
            _, files = self._found(self.checkpoints, peers)
            take_weights(model, METHODS[spec.method.type], files)
            if not self.goes_on:
                self.checkpoints.discard(peers)
        elif self.adapter is not None and spec.method.type is not MethodType.FULL:
            set_adapter(model, self.adapter, self.title)

    def state(self, strategy: Strategy) -> State:
        """Takes weights, optimiser and step from the checkpoint. All ranks must call it. Raises ModelNotFound."""
        assert self.checkpoints is not None, "`choose` finds one for state Full"
        self._found(self.checkpoints, strategy.peers)
        state = self.checkpoints.restore(strategy, self.step)
        assert state is not None, "it was found whole"
        return state

    def _found(self, checkpoints: Checkpoints, peers: Peers) -> tuple[State, list[Path]]:
        found = checkpoints.newest(peers, self.step)
        if found is None:
            raise ModelNotFound(
                f"startFrom: the checkpoint of step {self.step} of {self.title} can't be read: choose another."
            )
        return found


@of_a_model()
def find(spec: ResolvedSpec, access: Access) -> tuple[Start | None, ResolvedSpec]:
    """What the spec starts from, and the spec with the model and the settings that this tells, where it leaves them open.

    Raises ModelNotFound, ConfigurationInvalid.
    """
    own = spec.start_from
    if own is None:
        return None, spec
    place = open_store(own.uri, access)
    mark = _json(place, MARK)
    uid = own.job_uid or mark.get("jobUid")
    if own.job_uid and mark.get("jobUid", own.job_uid) != own.job_uid:
        raise ModelNotFound(
            f"startFrom: {own.uri} holds the result of another job by now ({mark.get('job')}), not of {own.job}."
        )
    title = f"job {own.job}" if own.job else own.uri
    kept = open_store(own.checkpoints, access)
    checkpoints = (
        Checkpoints(kept.store, checkpoints_of(kept.path.rstrip("/"), uid), 0, 0, access.scratch / "start")
        if uid
        else None
    )
    steps = [step_of(folder) for folder in checkpoints.complete()] if checkpoints else []
    result = Result.model_validate(mark["result"]) if mark else None
    kind = own.method or (MethodType(mark["method"]["type"]) if mark else None)
    step = choose(own, result, steps, _best(checkpoints) if own.checkpoint == BEST and not mark else None, title)
    if step is None and kind is spec.method.type and result and result.stored_step in steps:
        # As it was trained: some methods store their adapter in another form.
        step = result.stored_step
    told = f"{title} ({own.uri}), {f'step {step}' if step else 'as it is stored'}, {own.state.value}"
    lineage = (*mark.get("lineage", ()), told)
    if step is not None:
        _refuse_other_method(spec, kind, title)
        return Start(title, own.state, lineage, checkpoints=checkpoints, step=step), spec
    adapter = _json(place, ADAPTER_CONFIG)
    if adapter:
        folder = _brought(place, (ADAPTER_CONFIG, TENSORS), access)
        is_merged = spec.method.type is MethodType.FULL
        return Start(title, own.state, lineage, adapter=folder), agreed(spec, adapter, folder, title, is_merged)
    return Start(title, own.state, lineage), _of_whole_model(spec, place, access)


def choose(own: ResolvedStart, result: Result | None, steps: Sequence[int], best: int | None, title: str) -> int | None:
    """The step whose checkpoint is taken; None: the stored result. `steps`: of the checkpoints, the newest first; `best`: of an
    unfinished job. Raises ConfigurationInvalid, ModelNotFound."""
    if own.state is StartState.FULL and not steps:
        raise ConfigurationInvalid(
            f"startFrom.state: {title} kept no checkpoint to go on from (its checkpoint.keepFinal was not true): choose state: Weights."
        )
    wanted: int | None
    match own.checkpoint:
        case None:
            wanted = None if result or not steps else steps[0]
        case "Last":
            wanted = result.step if result and own.state is StartState.WEIGHTS else steps[0] if steps else None
        case "Best":
            if result and result.best_step != result.stored_step:
                raise ConfigurationInvalid(
                    f"startFrom.checkpoint: {title} stored its last weights, not its best (its evaluation.keepBest was not true): choose {LAST}."
                )
            wanted = result.stored_step if result else best
        case number:
            wanted = int(number)
    if result and wanted == result.stored_step and own.state is StartState.WEIGHTS:
        return None
    if wanted is not None and wanted not in steps:
        there = f"there is one of step {', '.join(map(str, steps))}" if steps else "there is none at all"
        raise ModelNotFound(f"startFrom.checkpoint: {title} has no checkpoint of step {wanted}, {there}: name another.")
    return wanted


def _best(checkpoints: Checkpoints | None) -> int | None:
    """The best step by the newest checkpoint of a job that has no result."""
    for place in checkpoints.complete()[:1] if checkpoints else ():
        told = _json(Located(checkpoints.store, place), STATE) if checkpoints else {}
        return told["best"]["step"] if told.get("best") else None
    return None


def _refuse_other_method(spec: ResolvedSpec, kind: MethodType | None, title: str) -> None:
    """Raises ConfigurationInvalid: a checkpoint holds what its own method trains."""
    if kind is not None and kind is not spec.method.type:
        raise ConfigurationInvalid(
            f"method.type is {spec.method.type.value}, the checkpoint of {title} is of {kind.value}: choose that, or start from the result of a "
            "job that has ended, by leaving startFrom.checkpoint out."
        )


ALIKE = ("model_type", "vocab_size", "hidden_size", "num_hidden_layers")


def _of_whole_model(spec: ResolvedSpec, place: Located, access: Access) -> ResolvedSpec:
    """The spec with the start's whole model in place of the one it names. Raises ModelNotFound, ConfigurationInvalid."""
    own = spec.start_from
    assert own is not None, "find asks only then"
    config = _json(place, "config.json")
    if not config:
        raise ModelNotFound(f"startFrom: {own.uri} holds no model, no adapter and no job's result: check the path.")
    if spec.model.uri == own.uri:
        return spec
    named = _json(open_store(spec.model.uri, access), "config.json")
    for key in ALIKE:
        if named.get(key) != config.get(key):
            raise ConfigurationInvalid(
                f"model: {spec.model.uri} has a {key} of {named.get(key)}, {own.uri}, which startFrom names, of {config.get(key)}: "
                "leave model out, or name the one that these weights are of."
            )
    return spec.deciding({"model.uri": (own.uri, "startFrom, whose weights are those of a whole model")})


def _json(place: Located, name: str) -> dict[str, Any]:
    """The file's content; nothing where there is no such file."""
    told: dict[str, Any] = json.loads(peek(place.store, f"{place.path.rstrip('/')}/{name}".lstrip("/")) or "{}")
    return told


def _brought(place: Located, names: Sequence[str], access: Access) -> Path:
    """A folder of this machine that holds the files."""
    path = place.path.rstrip("/")
    if (here := place.store.local(path)) is not None:
        return here
    for name in names:
        place.store.get(f"{path}/{name}".lstrip("/"), access.scratch / "start")
    return access.scratch / "start" / path
