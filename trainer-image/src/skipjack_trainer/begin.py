"""Where a run begins: at its newest checkpoint, at what its spec starts from, or at the untouched model, which is measured first."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from .engine.checkpoint import Before, Checkpoints, State
from .engine.evaluate import answers, evaluate
from .engine.trainee import Trainee
from .errors import ConfigurationInvalid, DataInvalid, StorageFailed
from .start import Start


def begin(run: Trainee, data: str, checkpoints: Checkpoints, start: Start | None, tell: Callable[[str], None]) -> State:
    """Resumes from the newest checkpoint, or takes what the spec starts from. `data`: the fingerprint of the training examples."""
    if run.peers.rank == 0:
        checkpoints.raise_fence()
    run.peers.barrier()
    state = checkpoints.restore(run.strategy)
    steps = run.peers.everyones(state.step if state else 0)
    if len(set(steps)) > 1:
        raise StorageFailed(
            f"the ranks read different checkpoints (of steps {', '.join(map(str, steps))}): is the storage the same for all pods?"
        )
    if state is None:
        state = first(run, data, start, tell)
    elif state.before.data != data:
        raise DataInvalid(
            "dataset.train: its rows are others than those that the checkpoint was trained on: bring them back, or create a new job."
        )
    else:
        tell(f"going on from the checkpoint of step {state.step}")
    # The others wait here for rank 0's answers: a step would not wait for long.
    run.peers.barrier()
    return state


def first(run: Trainee, data: str, start: Start | None, tell: Callable[[str], None]) -> State:
    """The state before this job's first step: what was there before it, measured."""
    taken = None
    if start is not None:
        tell(f"starting from {start.lineage[-1]}")
        if start.goes_on:
            taken = start.state(run.strategy)
            refuse_another_course(run, taken, data, start.title)
    method, is_first = run.strategy.objective.method, start is None or not start.is_adapter
    with method.untouched(run.model) if is_first else nullcontext():
        before = Before(heldout(run, "before"), answers(run), data)
    return State(taken.step, [], before, taken.scale) if taken else State(0, [], before)


def refuse_another_course(run: Trainee, taken: State, data: str, title: str) -> None:
    """Raises DataInvalid, ConfigurationInvalid where all of a job's state can't be gone on with."""
    if taken.before.data != data:
        raise DataInvalid(
            f"dataset.train: its rows are others than those of {title}, which state Full goes on with: name the same, or choose state: Weights."
        )
    if run.recipe.reference(run.spec) is not None:
        raise ConfigurationInvalid(
            f"startFrom.state: answers are compared to the model that {title} began with, and state Full begins with another: choose Weights."
        )
    steps = run.spec.hyperparameters.max_steps or 0
    if taken.step >= steps:
        raise ConfigurationInvalid(
            f"hyperparameters: {title} has made {taken.step} steps, and this job shall make {steps} in all: raise epochs or maxSteps."
        )


def heldout(run: Trainee, when: str) -> dict[str, float]:
    """The measures on held-out rows, by the names that results have; none without such rows."""
    measures = evaluate(run, run.validation) if run.validation else {}
    return {f"heldout_{name}_{when}": value for name, value in measures.items()}
