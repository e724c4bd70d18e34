"""How a diffusion model learns: by (seed, step, example) alone, and into files that stock diffusers draws from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from tests.trainer.pictures.easel import changed, furnish, lay_out, learner, pipeline, prepared, resolved
from tests.trainer.trainees import run_here

from skipjack.api.v1alpha1.dataset import Task
from skipjack_trainer.data.prepare import Prepared
from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.evaluate import evaluate
from skipjack_trainer.engine.loop import accumulate, train
from skipjack_trainer.engine.objective import trained
from skipjack_trainer.engine.order import draw_seed
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.trainee import Trainee
from skipjack_trainer.storage.folder import Folder

METHODS = ("LoRA", "RsLoRA", "LoRAPlus", "DoRA", "LoHa", "LoKr", "Full")


def found(root: Path, model: Path | None = None, **changes: Any) -> Prepared:
    lay_out(root / "mnt/configmaps/data")
    return prepared(root, resolved(**changes), model)


def gradients(run: Trainee) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss of the first step, and its gradients."""
    loss, weight, _ = accumulate(run, [0, 1, 2, 3, 4, 5], 0, 1.0)
    return loss / weight, {name: p.grad.clone() for name, p in trained(run.model) if p.grad is not None}


def learnt(run: Trainee, folder: Path) -> State:
    return train(run, Checkpoints(Folder(folder, "test"), "c", 1, 2, folder / "aside"), State(0, [], Before()), Stop(), lambda _: None)  # fmt: skip


def drawn(model: Any, prompt: str = "a red circle on 3") -> np.ndarray:
    model.set_progress_bar_config(disable=True)
    picture = model(prompt, num_inference_steps=4, generator=torch.Generator().manual_seed(1), output_type="np")
    return np.asarray(picture.images[0])


def stock() -> Any:
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline.from_pretrained(pipeline(), safety_checker=None)


@pytest.mark.parametrize("recomputes", [False, True])
def test_what_is_learnt_does_not_depend_on_how_pictures_share_a_pass(tmp_path: Path, recomputes: bool) -> None:
    both = []
    for pictures, recomputing in ((6, False), (2, recomputes)):
        compute = {"microBatchTokens": 16 * pictures, "gradientCheckpointing": recomputing}
        run = learner(found(tmp_path, method={"type": "Full"}, compute=compute))
        assert len(run.groups(run.train, range(6))) == 6 // pictures
        both.append(gradients(run))
    (loss, whole), (again, parts) = both
    assert loss == pytest.approx(again, rel=1e-5)
    assert whole.keys() == parts.keys()
    largest = max(float(gradient.abs().max()) for gradient in whole.values())
    assert max(float((whole[name] - parts[name]).abs().max()) for name in whole) < 1e-4 * largest


def test_each_step_and_each_example_has_noise_of_its_own(tmp_path: Path) -> None:
    run = learner(found(tmp_path))
    first, again, later = (accumulate(run, [0, 1], step, 1.0)[0] for step in (0, 0, 1))
    assert first == again
    assert first != later
    assert accumulate(run, [1, 0], 0, 1.0)[0] == pytest.approx(first, rel=1e-6), "by the example, not by its place"


@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
def test_the_loss_is_that_of_the_formula(tmp_path: Path, predicts: str) -> None:
    """Written out: x_t = √ᾱ·x + √(1-ᾱ)·ε; the target is ε, or v = √ᾱ·ε - √(1-ᾱ)·x."""
    folder = changed(tmp_path / "model", "scheduler/scheduler_config.json", prediction_type=predicts)
    run = learner(found(tmp_path, folder), folder)
    model, row = run.model, run.train[2]
    draw = torch.Generator().manual_seed(draw_seed(42, 5, 2))
    shown = torch.from_numpy(row.beside["pixels"].copy()).view(1, 32, 32, 3).permute(0, 3, 1, 2) / 127.5 - 1
    told = model.vae.encode(shown).latent_dist
    x = (told.mean + told.std * torch.randn(4, 8, 8, generator=draw)) * model.vae.config.scaling_factor
    time = torch.randint(1000, (1,), generator=draw)
    noise = torch.randn(4, 8, 8, generator=draw)
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    kept = torch.cumprod(1 - betas, 0)[time]
    asked = model.text_encoder(torch.from_numpy(row.input_ids.astype(np.int64))[None]).last_hidden_state
    said = model.unet(kept**0.5 * x + (1 - kept) ** 0.5 * noise, time, asked).sample
    target = noise if predicts == "epsilon" else kept**0.5 * noise - (1 - kept) ** 0.5 * x
    loss, weight, _ = accumulate(run, [2], 5, 1.0)
    assert weight == 1.0
    assert loss == pytest.approx(float(((said - target) ** 2).mean()), rel=1e-4)


def test_evaluation_says_the_same_twice_and_draws_nothing(tmp_path: Path) -> None:
    run = learner(found(tmp_path))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = evaluate(run, run.validation)["loss"]
    assert torch.equal(state, torch.get_rng_state())
    assert evaluate(run, run.validation)["loss"] == first
    alone = sum(evaluate(learner(found(tmp_path, compute={"microBatchTokens": 16})), run.validation).values())
    assert alone == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_learns_and_stock_libraries_draw_the_same_from_what_is_stored(tmp_path: Path, method: str) -> None:
    rate = 0.002 if method == "Full" else 0.02
    run = learner(found(tmp_path, method={"type": method}, hyperparameters={"maxSteps": 6, "globalBatchSize": 6, "learningRate": rate}))  # fmt: skip
    frozen = {name: p.clone() for name, p in run.model.vae.named_parameters()}
    untouched = drawn(stock())
    before = evaluate(run, run.validation)["loss"]
    learnt(run, tmp_path)
    assert evaluate(run, run.validation)["loss"] < 0.98 * before
    assert all(torch.equal(p, frozen[name]) for name, p in run.model.vae.named_parameters())
    run.model.save_pretrained(tmp_path / "out")
    ours = drawn(run.model.eval().pipeline)
    theirs = drawn(loaded(method, tmp_path / "out"))
    assert np.abs(ours - theirs).max() < 1e-4
    assert np.abs(ours - untouched).max() > 1e-2
    with run.model.untouched():
        assert np.abs(drawn(run.model.pipeline) - untouched).max() < 1e-5
    assert np.abs(drawn(run.model.pipeline) - ours).max() < 1e-5, "and comes back"


def loaded(method: str, folder: Path) -> Any:
    """The pipeline as a person would load it."""
    from diffusers import StableDiffusionPipeline

    if method == "Full":
        return StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    model = stock()
    if method in ("LoHa", "LoKr"):
        PeftModel.from_pretrained(model.unet, str(folder))  # changes the UNet's layers in place
    else:
        model.load_lora_weights(folder)
    return model


def test_the_attention_is_adapted_unless_other_layers_are_named(tmp_path: Path) -> None:
    def ends(**lora: Any) -> set[str]:
        run = learner(found(tmp_path, method={"type": "LoRA", "lora": lora}))
        return {name.partition(".lora_")[0].rpartition("attn")[2][2:] or name for name, _ in trained(run.model)}

    assert ends() == {"to_q", "to_k", "to_v", "to_out.0"}
    assert ends(targetModules=["to_q"]) == {"to_q"}


@pytest.mark.parametrize("precision", ["BF16", "FP16"])
def test_lower_precisions_learn_with_fp32_adapters(tmp_path: Path, precision: str) -> None:
    run = learner(found(tmp_path, compute={"precision": precision}))
    assert run.model.vae.dtype is torch.float32
    assert {p.dtype for _, p in trained(run.model)} == {torch.float32}
    ended = learnt(run, tmp_path)
    assert all(np.isfinite(entry["loss"]) for entry in ended.curve)


def test_a_job_goes_on_as_if_it_had_not_been_stopped(tmp_path: Path) -> None:
    rows = found(tmp_path, checkpoint={"everySteps": 2})
    one = learner(rows)
    straight = learnt(one, tmp_path / "straight")
    stopped = learner(rows)
    checkpoints = Checkpoints(Folder(tmp_path, "test"), "c", 1, 2, tmp_path / "aside")
    train(stopped, checkpoints, State(0, [], Before()), Stop(), lambda _: None)
    other = learner(rows)
    state = checkpoints.restore(other.strategy, 2)
    assert state is not None
    ended = train(other, checkpoints, state, Stop(), lambda _: None)
    assert [entry["loss"] for entry in ended.curve] == [entry["loss"] for entry in straight.curve]
    mine, theirs = dict(trained(one.model)), dict(trained(other.model))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("method", ["LoRA", "Full"])
def test_a_job_draws_before_and_after_in_its_card(tmp_path: Path, method: str) -> None:
    from PIL import Image

    told = resolved(method={"type": method}, evaluation={"prompts": ["a red | circle", "a boat"]})
    result = run_here(furnish(tmp_path, told))
    out = tmp_path / "mnt/claims/models/out"
    names = sorted(file.name for file in (out / "pictures").iterdir())
    assert names == ["00-after.png", "00-before.png", "01-after.png", "01-before.png"]
    before, after = (
        np.asarray(Image.open(out / f"pictures/00-{when}.png")).astype(int) for when in ("before", "after")
    )
    assert before.shape == (32, 32, 3)
    assert np.abs(before - after).max() > 3
    card = (out / "README.md").read_text()
    assert "| a red \\| circle | ![before](pictures/00-before.png) | ![after](pictures/00-after.png) |" in card
    assert "library_name: diffusers" in card
    assert "nats" not in card
    assert {"heldout_loss_before", "heldout_loss_after"} <= result.metrics.keys()
    assert (out / ("model_index.json" if method == "Full" else "pytorch_lora_weights.safetensors")).is_file()
    assert not (out / "tokenizer.json").exists()
    mark = json.loads((out / "skipjack.json").read_text())
    assert f"pictures/{names[0]}" in mark["files"]


def test_the_rate_is_half_of_what_chats_learn_at(tmp_path: Path) -> None:
    told = found(tmp_path, hyperparameters={"learningRate": None}).spec
    assert told.task is Task.TEXT_TO_IMAGE
    assert told.hyperparameters.learning_rate == pytest.approx(1e-4)
    assert told.evaluation.metric is not None
    assert told.evaluation.metric.value == "Loss"
