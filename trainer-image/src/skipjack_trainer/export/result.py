"""The result, as its readers load it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..data.templates import bared
from ..shape import Head
from ..tasks import Subject
from .config import save_config


def write_result(subject: Subject, head: Head, folder: Path, arguments: dict[str, Any]) -> None:
    """What was trained into `folder`, and its tokenizer. `arguments`: the strategy's, of `save_pretrained`."""
    folder.mkdir(parents=True, exist_ok=True)
    subject.model.save_pretrained(folder, **arguments)
    if head is Head.NOISE:
        return  # a pipeline's tokenizer is one of its parts
    bared(subject.tokenizer, subject.spec.dataset.chat_template).save_pretrained(folder)
    if head.is_new:
        save_config(subject.model.config, folder)
