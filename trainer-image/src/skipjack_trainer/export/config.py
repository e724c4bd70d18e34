"""What a model with a new head is to be loaded with."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any


def save_config(config: Any, folder: Path) -> None:
    """config.json into `folder`: an adapter doesn't tell how many labels its base is to be loaded with, nor their names.

    Not that the base was quantised: transformers would take its weights for quantised ones.
    """
    told = deepcopy(config)
    if hasattr(told, "quantization_config"):
        del told.quantization_config
    told.save_pretrained(folder)
