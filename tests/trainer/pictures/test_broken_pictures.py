"""The catalogue of broken pictures: each fault told by file, line, field, what was found and what to do, and nothing trained."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image
from tests.trainer.pictures.easel import ROWS, circle, lay_out, prepared, resolved

from skipjack_trainer.errors import ConfigurationInvalid, DataInvalid


class Fault(NamedTuple):
    """A broken row, and what is told of it after its file and line."""

    name: str
    row: Any
    told: str


NAMED = {"file_name": "0.png", "text": "a red circle"}
FAULTS = (
    Fault("no such file", NAMED | {"file_name": "none.png"}, "file_name: there is no file none.png beside the table: bring it, or correct the name"),
    Fault("a folder", NAMED | {"file_name": "folder"}, "file_name: there is no file folder beside the table"),
    Fault("a way out", NAMED | {"file_name": "../secret.png"}, "file_name: ../secret.png leads out of the folder: name a file beside or below the table"),
    Fault("a whole path", NAMED | {"file_name": "/etc/hostname"}, "file_name: /etc/hostname leads out of the folder"),
    Fault("a link that leads out", NAMED | {"file_name": "link.png"}, "file_name: link.png leads out of the folder"),
    Fault("text, not a picture", NAMED | {"file_name": "text.png"}, "file_name: it is no picture in a known format (PNG, JPEG, WEBP, BMP, GIF, TIFF)"),
    Fault("an empty file", NAMED | {"file_name": "empty.png"}, "file_name: it is no picture in a known format"),
    Fault("a format that runs programs", NAMED | {"file_name": "drawn.png"}, "file_name: it is no picture in a known format"),
    Fault("a file cut short", NAMED | {"file_name": "cut.png"}, "file_name: it is damaged (image file is truncated"),
    Fault("a bomb", NAMED | {"file_name": "bomb.png"}, "file_name: it has more than 80,000,000 pixels: scale it down"),
    Fault("a large one", NAMED | {"file_name": "large.png"}, "file_name: it has more than 80,000,000 pixels: scale it down"),
    Fault("no name", {"file_name": None, "text": "x"}, "file_name: expected one of file_name, image, found none of them"),
    Fault("two names", NAMED | {"image": "1.png"}, "file_name: expected one of file_name, image, found file_name and image"),
    Fault("a number for a name", NAMED | {"file_name": 3}, "file_name: expected a file's name, or bytes and path, found 3"),
    Fault("neither bytes nor path", {"image": {"url": "x"}, "text": "x"}, 'image: expected a file\'s name, or bytes and path, found {"url": "x"}'),
    Fault("a NUL in the name", NAMED | {"file_name": "a\0.png"}, "file_name: there is no file"),
    Fault("a name without end", NAMED | {"file_name": "a" * 5000}, "file_name: there is no file"),
    Fault("no caption", {"file_name": "0.png"}, "text: expected one of text, caption, prompt, found none of them"),
    Fault("an empty caption", NAMED | {"text": " "}, "text: expected text, found nothing but white space"),
    Fault("a number for a caption", NAMED | {"text": 7}, "text: expected text, found 7"),
    Fault("two captions", NAMED | {"caption": "y"}, "text: expected one of text, caption, prompt, found text and caption"),
)  # fmt: skip


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def claiming(width: int, height: int) -> bytes:
    """A small PNG that says it is so large."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    data = lay_out(tmp_path / "mnt/configmaps/data")
    (data / "folder").mkdir()
    circle(9).save(data.parent / "secret.png")
    (data / "link.png").symlink_to(data.parent / "secret.png")
    (data / "text.png").write_text("a picture of a lighthouse")
    (data / "empty.png").touch()
    (data / "drawn.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n")
    (data / "cut.png").write_bytes((data / "0.png").read_bytes()[:200])
    (data / "bomb.png").write_bytes(claiming(30_000, 30_000))
    (data / "large.png").write_bytes(claiming(9_000, 9_000))
    return tmp_path


def refused(root: Path, rows: list[Any], **changes: Any) -> str:
    lay_out(root / "mnt/configmaps/data", rows)
    with pytest.raises((DataInvalid, ConfigurationInvalid)) as caught:
        prepared(root, resolved(**changes))
    return str(caught.value)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_told_by_file_line_and_field(root: Path, fault: Fault) -> None:
    message = refused(root, [ROWS[0], fault.row])
    assert "nothing was trained" in message
    assert f"metadata.jsonl:2: {fault.told}" in message


def test_the_first_ten_are_told_at_once_whatever_is_wrong_with_them(root: Path) -> None:
    message = refused(root, [fault.row for fault in FAULTS])
    assert message.startswith(f"{2 * len(FAULTS)} bad rows, nothing was trained. The first 10:")
    assert message.count("metadata.jsonl:") == 10


def test_a_picture_too_small_to_be_anything_but_a_blur_is_told(root: Path) -> None:
    Image.new("RGB", (40, 15)).save(root / "mnt/configmaps/data/small.png")
    message = refused(root, [NAMED, NAMED | {"file_name": "small.png"}])
    told = "file_name: it has 40 x 15 pixels, too few for 32 x 32: give at least 16 on the shorter edge, or lower dataset.resolution"
    assert f"metadata.jsonl:2: {told}" in message


def test_damaged_bytes_in_a_table_are_told(root: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    whole = io.BytesIO()
    circle(1).save(whole, "PNG")
    images = [{"bytes": whole.getvalue(), "path": "1.png"}, {"bytes": whole.getvalue()[:150], "path": "2.png"}]
    table = pyarrow.table({"image": images, "caption": ["one", "two"]})
    pyarrow.parquet.write_table(table, root / "mnt/configmaps/data/metadata.parquet")
    with pytest.raises(DataInvalid, match=r"metadata\.parquet row 2: image: it is damaged"):
        prepared(root, resolved("configmap://data/metadata.parquet"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataset": {"resolution": 30}}, "dataset.resolution is 30, this model draws in steps of 4 pixels: 32 for example"),
        ({"hyperparameters": {"maxLength": 8}}, r"hyperparameters.maxLength is 8, captions have as many tokens as the text encoder reads, 16"),
        ({"task": "Chat"}, "spec.task is Chat, the data is for Completion or TextToImage"),
    ],
)  # fmt: skip
def test_a_setting_that_does_not_fit_the_model_is_told(root: Path, changes: dict[str, Any], told: str) -> None:
    assert told in refused(root, ROWS, **changes)


def test_a_caption_beyond_the_text_encoder_is_cut_dropped_or_refused_as_the_spec_says(root: Path) -> None:
    rows = [NAMED, NAMED | {"text": "a red circle " * 9}]
    assert "metadata.jsonl:2: has 29 tokens, maxLength is 16" in refused(root, rows, dataset={"overlong": "Fail"})
    assert len(prepared(root, resolved(dataset={"overlong": "Drop"})).train) == 1
    cut = prepared(root, resolved()).train[1]
    assert (len(cut), float(cut.weights.sum())) == (16, 1.0)
    assert cut.input_ids[-1] == cut.input_ids[0] + 1, "the end of the text is kept: text encoders look for it"
