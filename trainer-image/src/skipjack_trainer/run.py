"""One attempt, from spec to stored result:
spec → storage (fetch) → data (check, render, pack) → model (load) → method (attach) → engine (train) → export → storage (put).
"""

from __future__ import annotations

import gc
import time
from contextlib import closing
from functools import partial

import torch

from skipjack.api.v1alpha1.compute import Strategy as Kind
from skipjack.api.v1alpha1.learning import Metric
from skipjack.protocol import Result
from skipjack.resolve import ResolvedSpec

from .begin import begin
from .data.prepare import prepare
from .data.sources import fetch
from .data.templates import dressed
from .engine.best import refuse_unmeasured
from .engine.checkpoint import Checkpoints
from .engine.loop import Told, train
from .engine.objective import Objective
from .engine.peers import Peers, join
from .engine.reference import refer
from .engine.stop import Stop
from .engine.strategies import STRATEGIES
from .engine.trainee import Trainee, make_optimizer
from .errors import ConfigurationInvalid
from .export.card import CARD
from .export.exports import exported, plan
from .export.formats import refuse_formats
from .export.needs import Size
from .export.output import Output, open_output
from .fast import quicken
from .finish import bring_best, finish
from .in_turn import in_turn
from .integrations import Trackers
from .methods import attached, refuse_head, refuse_unfit
from .model import facts_of, fetch_model, load_model, load_tokenizer, read_config, recomputing
from .pod import Pod
from .progress import Poster, Reporter, Silent
from .start import find
from .storage import Access
from .tasks import RECIPES, Recipe
from .tell import first_sample, nothing, say, step_line, step_sample


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
    if leads:
        output.prepare()
    peers.barrier()
    done = output.finished()
    peers.barrier()
    if done is None:
        done = tune(pod, stop, spec, access, device, peers, output)
        # The trained model, all of whose parts know each other, is in the way of what follows.
        gc.collect()
    else:
        tell(f"this job's result is stored already: {done.output_uri}")
    peers.leave()
    stop.work_would_be_lost = False
    return exported(output, done, pod.attempt, access, tell) if leads else done


def tune(
    pod: Pod, stop: Stop, spec: ResolvedSpec, access: Access, device: torch.device, peers: Peers, output: Output
) -> Result:
    """Trains, and stores what was trained."""
    leads = peers.rank == 0
    tell = say if leads else nothing
    reporter: Reporter = Poster(pod.progress_url, pod.token_path, stop) if leads and pod.progress_url else Silent()
    with closing(reporter), Trackers(tell) as trackers:
        with in_turn(access.scratch):
            start, spec = find(spec, access)
            folder, spec = fetch_model(spec, access, tell)
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
        refuse_formats(spec, config, tokenizer, recipe.head)
        for title, layout in prepared.layouts.items():
            tell(f"{title}: rows laid out as {layout.value}")
        if rows := prepared.facts.get("drawnFromRows"):
            tell(f"dataset.train: {len(prepared.train)} of {rows} rows are drawn by the seed, as many as the steps see")
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
        refer_to = partial(
            refer, recipe=recipe, spec=spec, device=device, peers=peers, kept=access.scratch / "reference"
        )
        rows = [prepared.train, prepared.validation]
        if start is None or not start.is_adapter:
            # Before a method is attached: some change what the model says by that alone.
            rows = [refer_to(base, examples=some) for some in rows]
        model = quicken(attached(base, spec))
        if start is not None and start.is_adapter:
            # With what it starts from: that is the model which answers are compared to.
            start.take(model, spec, peers)
            rows = [refer_to(model, examples=some) for some in rows]
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
            *output.checkpoints, pod.attempt, spec.checkpoint.keep, access.scratch / "checkpoint", tell
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
            plan(spec, recipe.head, rows[1] or rows[0], pod.attempt, output, access)
            result = output.store_result(access.scratch / "export", result, lineage)
            if spec.checkpoint.keep_final:
                checkpoints.forget(checkpoints.complete(), ended.step)
            else:
                checkpoints.clear()
            trackers.stored(result, (access.scratch / "export" / CARD).read_text())
            tell(f"stored {result.output_uri} ({result.output_digest})")
        return result


def refuse_unasked(spec: ResolvedSpec, recipe: Recipe) -> None:
    """Raises ConfigurationInvalid where prompts would get no answers."""
    if spec.evaluation.prompts and recipe.answer is None and recipe.illustrate is None:
        assert spec.task is not None, "resolve_data settles it"
        raise ConfigurationInvalid(
            f"evaluation.prompts: such a model learns {spec.task.value} and answers no prompts: remove them; held-out rows tell what it has learnt."
        )


def place_of(pod: Pod) -> torch.device:
    """The device of this process."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_device(pod.local_rank)
    return torch.device("cuda", pod.local_rank)
