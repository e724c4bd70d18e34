"""One attempt, from spec to stored result:
spec → storage (fetch) → data (check, render, pack) → model (load) → method (attach) → engine (train) → export → storage (put).
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path

import torch

from skipjack.api.v1alpha1.compute import Strategy as Kind
from skipjack.api.v1alpha1.learning import Metric
from skipjack.protocol import Result
from skipjack.resolve import ResolvedSpec

from .data.prepare import prepare
from .data.sources import fetch
from .data.templates import dressed
from .engine.best import refuse_unmeasured
from .engine.checkpoint import Before, Checkpoints, State
from .engine.loop import Told, Trainee, answers, evaluate, make_optimizer, train
from .engine.objective import Objective
from .engine.peers import join
from .engine.reference import refer
from .engine.stop import Stop
from .engine.strategies import STRATEGIES
from .errors import ConfigurationInvalid, DataInvalid, StorageFailed
from .export.card import CARD, Story, write_card
from .export.needs import Ran, Size, needs, output_mib
from .export.output import open_output
from .export.result import write_result
from .fast import quicken
from .in_turn import in_turn
from .integrations import Trackers, write_files
from .methods import attached, refuse_head, refuse_unfit
from .model import facts_of, fetch_model, load_model, load_tokenizer, read_config, recomputing
from .pod import Pod
from .progress import Poster, Reporter, Silent
from .start import Start, find
from .tasks import RECIPES, Recipe
from .tell import first_sample, nothing, say, sentence, step_line, step_sample


def run(pod: Pod, stop: Stop) -> Result:
    """Runs this process's part of the attempt. Raises TrainerError."""
    spec = pod.spec()
    access = pod.access(spec)
    device = place_of(pod)
    peers = join(needs_group=spec.compute.strategy is not Kind.DDP)
    leads = peers.rank == 0
    tell = say if leads else nothing
    if peers.world > 1:
        say(f"joined as rank {peers.rank} of {peers.world}")
    output = open_output(spec, access)
    done = output.finished()
    peers.barrier()
    if done is not None:
        peers.leave()
        tell(f"this job's result is stored already: {done.output_uri}")
        return done

    reporter: Reporter = Poster(pod.progress_url, pod.token_path, stop) if leads and pod.progress_url else Silent()
    with closing(reporter), Trackers(tell) as trackers:
        with in_turn(access.scratch):
            start, spec = find(spec, access)
            folder, spec = fetch_model(spec, access)
            sources = fetch(spec, access)
        config = read_config(folder)
        refuse_unfit(spec, config)
        model_facts, tokenizer = facts_of(config), dressed(load_tokenizer(folder), spec.dataset.chat_template)
        prepared = prepare(spec, sources, tokenizer, model_facts, access.scratch)
        spec = prepared.spec
        assert spec.task is not None, "resolve_data settles it"
        recipe = RECIPES[spec.task][model_facts.shape]
        refuse_head(spec, recipe.head.kind)
        refuse_unmeasured(spec, len(prepared.validation))
        refuse_unasked(spec, recipe)
        for title, layout in prepared.layouts.items():
            tell(f"{title}: rows laid out as {layout.value}")
        for part in prepared.parts:
            tell(str(part))
        for value in spec.told():
            tell(f"{value.field} = {value.value}  ({value.origin})")
        reporter.tell(first_sample(pod.attempt, prepared))

        base = load_model(folder, spec, device, recipe.head, prepared.labels)
        base = start.merged(base, spec) if start else base
        size = Size.of(base)
        if spec.dataset.chat_template:
            # Its turns end by a token of their own, at which the tuned model is to stop.
            base.generation_config.eos_token_id = tokenizer.eos_token_id
        recipe.configure(base.config, tokenizer, prepared.train[0])
        if start and recipe.reference(spec):
            start.refuse_unmeasured()
        rows = [prepared.train, prepared.validation]
        if not (start and start.adapter):
            # Before a method is attached: some change what the model says by that alone.
            rows = [refer(base, recipe, spec, some, device, peers, access.scratch / "reference") for some in rows]
        model = quicken(attached(base, spec))
        if start and start.adapter:
            model = start.attached(model, spec)
            rows = [refer(model, recipe, spec, some, device, peers, access.scratch / "reference") for some in rows]
        if spec.compute.gradient_checkpointing:
            model = recomputing(model)
        strategy = STRATEGIES[spec.compute.strategy](
            Objective(model, recipe, spec, device),
            make_optimizer(model, spec),
            spec,
            peers,
            access.scratch / "offloaded",
        )
        trainee = Trainee(spec, rows[0], rows[1], strategy, tokenizer, prepared.labels, prepared.mixture)
        checkpoints = Checkpoints(
            output.store, output.checkpoints, pod.attempt, spec.checkpoint.keep, access.scratch / "checkpoint", tell
        )
        state = begin(trainee, prepared.train.fingerprint(), checkpoints, start, tell)

        if leads:
            trackers.start(spec, state)

        def follow(told: Told) -> None:
            tell(step_line(told))
            reporter.tell(step_sample(pod.attempt, told, spec.evaluation.metric or Metric.LOSS))
            trackers.log(told)

        tell("training starts")
        started = time.monotonic()
        ended = train(trainee, checkpoints, state, stop, follow)
        seconds = time.monotonic() - started
        lineage = start.lineage if start else ()
        stored_step = bring_best(trainee, checkpoints, ended, tell)
        result = finish(trainee, ended, stored_step, size, lineage, seconds, access.scratch / "export", tell)
        if leads:
            checkpoints.check_fence()
            result = output.store_result(access.scratch / "export", result, lineage)
            if spec.checkpoint.keep_final:
                checkpoints.forget(checkpoints.complete(), ended.step)
            else:
                checkpoints.clear()
            trackers.stored(result, (access.scratch / "export" / CARD).read_text())
            tell(f"stored {result.output_uri} ({result.output_digest})")
        peers.leave()
        return result


def refuse_unasked(spec: ResolvedSpec, recipe: Recipe) -> None:
    """Raises ConfigurationInvalid where prompts would get no answers."""
    if spec.evaluation.prompts and recipe.answer is None and recipe.illustrate is None:
        assert spec.task is not None, "resolve_data settles it"
        raise ConfigurationInvalid(
            f"evaluation.prompts: such a model learns {spec.task.value} and answers no prompts: remove them; held-out rows tell what it has learnt."
        )


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
    taken = start.take(run.strategy) if start else None
    if start is not None:
        tell(f"starting from {start.lineage[-1]}")
    if taken is not None and start is not None:
        refuse_another_course(run, taken, data, start.title)
    method, is_first = run.strategy.objective.method, start is None or not start.changes_the_adapter
    with method.untouched(run.model) if is_first else nullcontext():
        before = Before(heldout(run, "before"), answers(run), data)
    return State(taken.step, [], before, taken.scale) if taken else State(0, [], before)


def refuse_another_course(run: Trainee, taken: State, data: str, title: str) -> None:
    """Raises DataInvalid, ConfigurationInvalid where all of a job's state can't be gone on with."""
    if taken.before.data != data:
        raise DataInvalid(
            f"dataset.train: its rows are others than those of {title}, which state Full goes on with: name the same, or choose state: Weights."
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


def bring_best(run: Trainee, checkpoints: Checkpoints, ended: State, tell: Callable[[str], None]) -> int:
    """Brings back the best weights where the spec keeps them; the step of those that there are now."""
    best = ended.best
    if best is None or best.step == ended.step or not run.spec.evaluation.keep_best:
        return ended.step
    if checkpoints.restore(run.strategy, best.step) is None:
        tell(
            f"the checkpoint of step {best.step}, the best, can't be read any more: the last step's weights are stored instead"
        )
        return ended.step
    return best.step


def finish(
    run: Trainee,
    ended: State,
    stored_step: int,
    base: Size,
    lineage: tuple[str, ...],
    seconds: float,
    export: Path,
    tell: Callable[[str], None],
) -> Result:
    """Measures the trained model; rank 0 writes it and its story into the folder `export`."""
    objective, peers = run.strategy.objective, run.peers
    peak = max(peers.everyones(peak_memory_mib(objective.device)))
    ran = Ran(base, objective.trainable_parameters, objective.total_parameters, ended.curve, peak, peers.world)
    metrics = ended.before.metrics | heldout(run, "after") | needs(run.spec, ran)
    metrics |= {"train_loss": ended.curve[-1]["loss"], "training_seconds": round(seconds, 2)}
    tell(f"peak memory {metrics['peak_memory_mib']:.1f} MiB")
    said = answers(run)
    with run.strategy.whole() as arguments:
        if peers.rank == 0:
            told = list(zip(run.spec.evaluation.prompts, ended.before.answers, said, strict=True)) if said else []
            for prompt, old, new in told:
                tell(f"asked:  {prompt}\n  before: {old.strip()}\n  after:  {new.strip()}")
            write_result(run.subject, run.recipe.head, export, arguments)
            metrics["output_mib"] = output_mib(export)
            drawn = run.recipe.illustrate(run.subject, export) if run.recipe.illustrate else []
            story = Story(run.spec, ended.curve, metrics, told, stored_step, lineage, drawn)
            write_card(story, export)
            write_files(story, export, export.with_name("trackers"), tell)
    steps = run.spec.hyperparameters.max_steps or 0
    message = sentence(run.spec, metrics, ended, stored_step)
    best = ended.best.step if ended.best else None
    return Result(
        message=message, step=ended.step, steps=steps, metrics=metrics, stored_step=stored_step, best_step=best
    )


def place_of(pod: Pod) -> torch.device:
    """The device of this process."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(pod.local_rank)
    return torch.device("cuda", pod.local_rank)


def peak_memory_mib(device: torch.device) -> float:
    """Of this process: what the allocator held on an accelerator, what was resident on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
