"""Pipelines: what is fetched of one, what its folder tells, and which are refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.cluster.hub import server as hub
from tests.support.serving import serving
from tests.trainer.pictures.easel import changed, pipeline, resolved
from tests.trainer.trainees import CPU

from skipjack_trainer.errors import ConfigurationInvalid, ModelUnsupported
from skipjack_trainer.methods import refuse_head
from skipjack_trainer.model import facts_of, fetch_model, load_model, read_config
from skipjack_trainer.shape import Head, PictureFacts, Shape
from skipjack_trainer.storage import Access

WEIGHTS = "diffusion_pytorch_model"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """hf://org/art on a hub, with all that publishers lay beside a pipeline."""
    folder = tmp_path / "hub/models/org/art"
    shutil.copytree(pipeline(), folder)
    for spare in ("v1-5-pruned.safetensors", "v1-5-pruned.ckpt", f"unet/{WEIGHTS}.bin", f"unet/{WEIGHTS}.fp16.safetensors",
                  "unet/diffusion_pytorch_model.non_ema.safetensors", "safety_checker/model.safetensors", "vae/decoder.onnx"):  # fmt: skip
        (folder / spare).parent.mkdir(exist_ok=True)
        (folder / spare).write_bytes(os.urandom(100))
    server = hub.serve(tmp_path / "hub", "127.0.0.1", 0)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        yield folder


def fetched(tmp_path: Path) -> Path:
    return fetch_model(resolved(model="hf://org/art"), Access(scratch=tmp_path / "scratch"))[0]


def weights(folder: Path) -> list[str]:
    """All files that are not configurations."""
    kept = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return sorted(name for name in kept if not name.endswith((".json", ".txt")) and not name.startswith("."))


def test_one_copy_of_the_weights_is_fetched_and_nothing_that_could_run(repository: Path, tmp_path: Path) -> None:
    folder = fetched(tmp_path)
    assert weights(folder) == [
        "text_encoder/model.safetensors",
        f"unet/{WEIGHTS}.safetensors",
        f"vae/{WEIGHTS}.safetensors",
    ]
    assert load_model(folder, resolved(), CPU, Head.NOISE).unet.config.sample_size == 8


def test_weights_in_half_precision_are_taken_where_there_are_no_others(repository: Path, tmp_path: Path) -> None:
    unet = repository / "unet"
    (unet / f"{WEIGHTS}.safetensors").replace(unet / f"{WEIGHTS}.fp16.safetensors")
    (unet / f"{WEIGHTS}.non_ema.safetensors").unlink()
    folder = fetched(tmp_path)
    assert f"unet/{WEIGHTS}.fp16.safetensors" in weights(folder)
    load_model(folder, resolved(), CPU, Head.NOISE)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
def test_a_part_that_is_pickled_is_refused_by_name(repository: Path, tmp_path: Path, part: str) -> None:
    for file in (repository / part).glob("*.safetensors"):
        file.replace(file.with_suffix(".bin"))
    with pytest.raises(
        ModelUnsupported, match=f"has no safetensors weights of its {part}; pickled ones could run code"
    ):
        fetched(tmp_path)


def test_the_folder_tells_what_the_model_draws() -> None:
    facts = facts_of(read_config(pipeline()))
    assert (facts.shape, facts.context_length, facts.can_pack) == (Shape.DIFFUSION, 16, False)
    assert facts.picture == PictureFacts(resolution=32, step=4)


@pytest.mark.parametrize(
    ("file", "changes", "told"),
    [
        ("model_index.json", {"_class_name": "FluxPipeline"},
         r"its pipeline is a FluxPipeline; those that can be tuned are StableDiffusionPipeline \(Stable Diffusion 1 and 2\)"),
        ("unet/config.json", {"in_channels": 9}, "made for painting over pictures; choose one that draws from text alone"),
        ("scheduler/scheduler_config.json", {"prediction_type": "sample"},
         "its UNet predicts 'sample'; those that can be tuned predict epsilon or v_prediction"),
    ],
)  # fmt: skip
def test_a_pipeline_that_cannot_be_tuned_is_refused_in_words(
    tmp_path: Path, file: str, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ModelUnsupported, match=told):
        read_config(changed(tmp_path / "pipeline", file, **changes))


@pytest.mark.parametrize("damage", ["text_encoder/config.json", "unet/config.json"])
def test_a_pipeline_that_lacks_a_part_is_refused_by_name(tmp_path: Path, damage: str) -> None:
    folder = changed(tmp_path / "pipeline", "model_index.json")
    (folder / damage).unlink()
    with pytest.raises(ModelUnsupported, match=f"its pipeline can't be read: {damage}"):
        read_config(folder)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"method": {"type": "QLoRA"}}, "QLoRA can't tune a diffusion model: choose one of Full, LoRA, RsLoRA, LoRAPlus, DoRA, LoHa, LoKr"),
        ({"method": {"type": "PromptTuning"}}, "PromptTuning can't tune a diffusion model"),
        ({"method": {"type": "DoRA", "quantization": {"type": "NF4"}}}, "method.quantization: a diffusion model can't be quantised yet"),
        ({"compute": {"strategy": "ZeRO3"}}, "compute.strategy: a diffusion model's weights can't be partitioned by ZeRO3 yet"),
    ],
)  # fmt: skip
def test_what_a_diffusion_model_cannot_be_tuned_by_is_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=told):
        refuse_head(resolved(**changes), Head.NOISE.kind)
