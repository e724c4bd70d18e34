"""Architectures that transformers doesn't have: published with code of their own, which is never run, and written anew here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def make_known(folder: Path) -> None:
    """Lets transformers' Auto classes load the model in `folder`, where its architecture is one of ours."""
    if json.loads((folder / "config.json").read_text()).get("model_type") == "phi3small":
        from .phi3small import register

        register()


def own_tokenizer(folder: Path) -> Any | None:
    """The tokenizer of the model in `folder`, where it comes in files that only its publisher's code reads. Raises ValueError."""
    from .phi3small import tokenizer

    return tokenizer.load(folder) if tokenizer.is_in(folder) else None
