"""What tests of pictures need: a pipeline with random weights, captioned pictures, pods to learn them in."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from tests.cluster.hub import make_diffusion
from tests.trainer import tiny
from tests.trainer.trainees import CPU

from skipjack.resolve import ResolvedSpec
from skipjack_trainer.data.prepare import Prepared, prepare
from skipjack_trainer.data.sources import fetch
from skipjack_trainer.engine.objective import Objective
from skipjack_trainer.engine.peers import Alone
from skipjack_trainer.engine.strategies import STRATEGIES
from skipjack_trainer.engine.trainee import Trainee, make_optimizer
from skipjack_trainer.fast import quicken
from skipjack_trainer.methods import attached
from skipjack_trainer.model import facts_of, load_model, load_tokenizer, read_config, recomputing
from skipjack_trainer.shape import Head
from skipjack_trainer.storage import Access
from skipjack_trainer.tasks.drawing import DRAWING

ROWS = [{"file_name": f"{number}.png", "text": f"a red circle on {number}"} for number in range(6)]


@cache
def pipeline() -> Path:
    """The folder of one whose UNet says something: as it comes, its last layer's weights are too small to tell words apart."""
    folder = Path(mkdtemp()) / "pipeline"
    made = make_diffusion.untaught()
    make_diffusion.keep_mean_colours(made.vae)
    with torch.no_grad():
        made.unet.conv_out.weight.mul_(20)
    made.save_pretrained(folder)
    return folder


def changed(folder: Path, file: str, **changes: Any) -> Path:
    """A copy of the pipeline in `folder`, with changes to one of its configurations."""
    shutil.copytree(pipeline(), folder)
    place = folder / file
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))
    return folder


def circle(number: int) -> Any:
    chance = random.Random(number)
    return make_diffusion.picture("circle", (220, 40, 40), (245, 245, 245), chance)


def lay_out(folder: Path, rows: Sequence[Any] = ROWS, table: str = "metadata.jsonl") -> Path:
    """An image folder: the table, and six pictures beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(ROWS)):
        circle(number).save(folder / f"{number}.png")
    (folder / table).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def resolved(uri: str = "configmap://data/metadata.jsonl", **changes: Any) -> ResolvedSpec:
    dataset = {"train": [{"uri": uri}], "validation": [{"uri": uri}]} | changes.pop("dataset", {})
    learning = {"maxSteps": 4, "globalBatchSize": 4, "learningRate": 0.01, "warmupRatio": 0}
    learning |= changes.pop("hyperparameters", {})
    compute = {"precision": "FP32"} | changes.pop("compute", {})
    return tiny.resolved(dataset=dataset, hyperparameters=learning, compute=compute, **changes)


def access_to(root: Path) -> Access:
    return Access(claims=root / "mnt/claims", configmaps=root / "mnt/configmaps", scratch=root / "scratch")


def prepared(root: Path, told: ResolvedSpec, model: Path | None = None) -> Prepared:
    """What the rows below `root` become."""
    folder = model or pipeline()
    facts, tokenizer = facts_of(read_config(folder)), load_tokenizer(folder)
    return prepare(told, fetch(told, access_to(root)), tokenizer, facts, root / "scratch")


def learner(found: Prepared, model: Path | None = None) -> Trainee:
    """A run over what was prepared, in this process."""
    told = found.spec
    base = load_model(model or pipeline(), told, CPU, Head.NOISE)
    tuned = quicken(attached(base, told))
    if told.compute.gradient_checkpointing:
        tuned = recomputing(tuned)
    strategy = STRATEGIES[told.compute.strategy](
        Objective(tuned, DRAWING, told, CPU), make_optimizer(tuned, told), told, Alone(), Path("/nowhere")
    )
    return Trainee(told, found.train, found.validation, strategy)


def furnish(root: Path, told: ResolvedSpec) -> Path:
    """A pod's file system below `root`."""
    shutil.copytree(pipeline(), root / "mnt/claims/models/base", dirs_exist_ok=True)
    lay_out(root / "mnt/configmaps/data")
    place = root / "etc/skipjack/podinfo/resolved-spec"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(told.model_dump_json())
    (root / "scratch").mkdir(exist_ok=True)
    return root
