"""Pictures as they come: where they may lie, how they are turned, cropped and made opaque, and what an example of one is."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.cluster.hub import server as hub
from tests.support.serving import serving
from tests.trainer.pictures.easel import ROWS, circle, lay_out, prepared, resolved

from skipjack.api.v1alpha1.dataset import Task
from skipjack_trainer.data.images import on_white, open_image, square
from skipjack_trainer.data.writers.picture import PIXELS


def shown(example: Any) -> np.ndarray:
    side = round((len(example.beside[PIXELS]) // 3) ** 0.5)
    return np.asarray(example.beside[PIXELS].reshape(side, side, 3))


def whole(number: int, kind: str = "PNG") -> bytes:
    into = io.BytesIO()
    circle(number).save(into, kind)
    return into.getvalue()


def test_an_image_folder_becomes_captions_and_pixels(tmp_path: Path) -> None:
    lay_out(tmp_path / "mnt/configmaps/data")
    found = prepared(tmp_path, resolved())
    assert found.spec.task is Task.TEXT_TO_IMAGE
    assert found.spec.dataset.resolution == 32
    assert found.spec.origins["dataset.resolution"] == "what the model draws"
    assert found.spec.hyperparameters.max_length == 16
    assert [len(example) for example in found.train] == [16] * 6, "as many as the text encoder reads"
    assert [float(example.weights.sum()) for example in found.train] == [1.0] * 6
    assert all((shown(found.train[number]) == np.asarray(circle(number))).all() for number in range(6))


def test_a_forward_pass_has_as_many_pictures_as_their_pixels_allow(tmp_path: Path) -> None:
    lay_out(tmp_path / "mnt/configmaps/data")
    for side, count in ((32, 256), (64, 64)):
        told = resolved(dataset={"resolution": side}, compute={"microBatchTokens": None})
        found = prepared(tmp_path, told).spec
        assert found.compute.micro_batch_tokens == 16 * count
        assert f"captions of {count} pictures of {side} x {side}" in found.origins["compute.micro_batch_tokens"]


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_table_may_name_files_or_hold_them(tmp_path: Path, ending: str) -> None:
    import pyarrow
    import pyarrow.parquet

    data = lay_out(tmp_path / "mnt/configmaps/data")
    if ending == ".parquet":
        rows = [{"image": {"bytes": whole(n), "path": f"{n}.png"}, "caption": f"circle {n}"} for n in range(6)]
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), data / "metadata.parquet")
    elif ending == ".csv":
        lines = "".join(f"{n}.png,circle {n}\n" for n in range(6))
        (data / "metadata.csv").write_text(f"image,prompt\n{lines}")
    else:
        lay_out(data, [{"image": f"{n}.png", "caption": f"circle {n}"} for n in range(6)])
    found = prepared(tmp_path, resolved(f"configmap://data/metadata{ending}"))
    assert all((shown(found.train[number]) == np.asarray(circle(number))).all() for number in range(6))


def test_a_configmap_is_a_folder_of_links_and_its_pictures_are_found(tmp_path: Path) -> None:
    mounted = tmp_path / "mnt/configmaps/data"
    real = lay_out(mounted / "..2026_11_25")
    (mounted / "..data").symlink_to("..2026_11_25")
    for file in real.iterdir():
        (mounted / file.name).symlink_to(f"..data/{file.name}")
    assert len(prepared(tmp_path, resolved()).train) == 6


def test_a_folder_of_a_claim_may_have_pictures_further_down(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "mnt/claims/data/art", [ROWS[0], {"file_name": "more/1.png", "text": "one more"}])
    (data / "more").mkdir()
    circle(1).save(data / "more/1.png")
    assert len(prepared(tmp_path, resolved("pvc://data/art")).train) == 2


@pytest.mark.parametrize("uri", ["hf://datasets/org/art", "hf://datasets/org/art/train/metadata.jsonl"])
def test_pictures_are_brought_from_the_hub_with_the_table_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    lay_out(tmp_path / "hub/datasets/org/art/train")
    server = hub.serve(tmp_path / "hub", "127.0.0.1", 0)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    with serving(server):
        found = prepared(tmp_path, resolved(uri))
    assert (shown(found.train[5]) == np.asarray(circle(5))).all()


def test_what_a_text_lies_beside_is_not_brought(tmp_path: Path) -> None:
    from tests.trainer.pictures.easel import access_to

    from skipjack_trainer.data.sources import fetch

    lay_out(tmp_path / "mnt/claims/data/texts", [{"text": "a lighthouse"}])
    found = fetch(resolved("pvc://data/texts"), access_to(tmp_path))
    assert found.train[0].pictures == ()


def test_a_picture_that_changed_is_prepared_anew(tmp_path: Path) -> None:
    data = lay_out(tmp_path / "mnt/configmaps/data")
    before = prepared(tmp_path, resolved()).train.fingerprint()
    assert prepared(tmp_path, resolved()).train.fingerprint() == before
    circle(77).save(data / "3.png")
    assert prepared(tmp_path, resolved()).train.fingerprint() != before


def test_a_picture_is_upright_as_its_camera_held_it() -> None:
    lying = Image.new("RGB", (40, 20), "red")
    lying.paste("blue", (0, 0, 10, 20))
    into, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    lying.save(into, "PNG", exif=exif)
    upright = open_image(into.getvalue())
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5)) == (0, 0, 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L", "CMYK", "I;16", "RGB"])
def test_every_kind_of_picture_becomes_rgb(mode: str) -> None:
    made = Image.new("RGB", (8, 8), "white").convert("L" if mode == "I;16" else mode)
    if mode == "I;16":
        made = Image.fromarray(np.full((8, 8), 65535, np.uint16))
    seen = on_white(made)
    assert seen.mode == "RGB"
    assert seen.getpixel((4, 4)) == (255, 255, 255)


def test_what_is_transparent_is_white() -> None:
    half = Image.new("RGBA", (8, 8), (200, 0, 0, 255))
    half.paste((0, 0, 0, 0), (0, 0, 4, 8))
    seen = on_white(half)
    assert (seen.getpixel((1, 1)), seen.getpixel((6, 1))) == ((255, 255, 255), (200, 0, 0))


def test_the_middle_is_kept_at_its_proportions() -> None:
    wide = Image.new("RGB", (120, 40), "black")
    wide.paste("white", (40, 0, 80, 40))
    assert np.asarray(square(wide, 20))[:, 1:-1].min() > 200
    assert square(wide, 64).size == (64, 64)


def test_the_example_that_a_person_applies_is_learnt_from(tmp_path: Path) -> None:
    import shutil

    art = Path(__file__).resolve().parents[3] / "examples/art"
    shutil.copytree(art, tmp_path / "mnt/configmaps/data")
    told = resolved(dataset={"validation": [{"uri": "configmap://data/validation.jsonl"}]})
    found = prepared(tmp_path, told)
    assert (len(found.train), len(found.validation)) == (36, 8)
    assert sum(file.stat().st_size for file in art.iterdir()) < 700 * 1024, "a ConfigMap holds 1 MiB"
    assert {json.loads(line)["text"] for line in (art / "metadata.jsonl").read_text().splitlines()} == {
        "a skipjack", "a skipjack on white", "a skipjack on black",
    }  # fmt: skip
