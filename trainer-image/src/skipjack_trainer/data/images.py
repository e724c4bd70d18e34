"""Opening pictures that strangers made, and bringing them to one size."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""Of what Pillow reads: others of its readers are for formats that run programs (EPS), or that nobody trains on."""

PIXELS_MAX = 80_000_000
"""Some 9,000 x 9,000, 240 MB once open: what claims to be larger is taken for a bomb."""
TOO_LARGE = f"it has more than {PIXELS_MAX:,} pixels: scale it down"
FAULTS = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error)
"""What Pillow's readers raise over damaged files."""


class ImageProblem(Exception):
    """What is wrong with a picture, and what to do."""


def open_image(source: Path | bytes) -> Image.Image:
    """The whole picture as RGB, upright, what is transparent on white; of several frames the first. Raises ImageProblem."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as opened:
            if opened.width * opened.height > PIXELS_MAX:
                raise ImageProblem(TOO_LARGE)
            opened.load()
            return on_white(ImageOps.exif_transpose(opened))
    except UnidentifiedImageError as error:
        raise ImageProblem(f"it is no picture in a known format ({', '.join(FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise ImageProblem(TOO_LARGE) from error
    except FAULTS as error:
        raise ImageProblem(f"it is damaged ({error}): fetch or save it again") from error


def on_white(image: Image.Image) -> Image.Image:
    """As RGB; what is transparent becomes white."""
    if not image.has_transparency_data:
        return _deep(image) if image.mode.startswith("I") else image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    return Image.alpha_composite(white, layer).convert("RGB")


def _deep(image: Image.Image) -> Image.Image:
    """Grey of 16 bits: Pillow's own conversion cuts it off at 255."""
    return image.convert("I").point(lambda value: value / 257).convert("L").convert("RGB")


def square(image: Image.Image, side: int) -> Image.Image:
    """Scaled so that the shorter edge is `side`, and the middle of the longer one."""
    return ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
