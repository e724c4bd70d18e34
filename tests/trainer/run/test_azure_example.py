"""Azure ML's chat-completion sample as one job, on a tiny Phi-3 and two processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.builders import catalogue, node_type
from tests.support.examples import example
from tests.trainer import tiny
from tests.trainer.gangs import RESULT, ends, workers

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.resolve import ResolvedSpec, resolve_spec

STEPS = 6


def scaled_down() -> ResolvedSpec:
    """The example with another model, place and size; what it says of method, settings and strategy stays."""
    own = example("azure-chat-completion")
    settings = {key: value for key, value in own["hyperparameters"].items() if key != "epochs"}
    smaller = {
        "model": "pvc://models/base",
        "dataset": own["dataset"]
        | {"train": [{"uri": "configmap://data/train.jsonl"}], "validation": [{"uri": "configmap://data/held.jsonl"}]},
        "hyperparameters": settings | {"maxSteps": STEPS, "globalBatchSize": 2, "maxLength": 256},
        "evaluation": own["evaluation"] | {"maxNewTokens": 4},
        "compute": {key: value for key, value in own["compute"].items() if key != "nodeType"},
        "output": {"uri": "pvc://models/out"},
    }
    kind = node_type(default=True, precisions=["FP32"])
    return resolve_spec(FineTuneJobSpec.model_validate(own | smaller), "job", "team", "uid-1", catalogue(kind))


def rows(count: int) -> list[dict[str, object]]:
    """Chats with UltraChat's columns."""
    return [
        chat | {"prompt": chat["messages"][0]["content"], "prompt_id": str(n)}
        for n, chat in enumerate(tiny.chats(count))
    ]


def test_the_sample_runs_from_its_data_to_an_adapter_and_answers(tmp_path: Path) -> None:
    told = scaled_down()
    tiny.furnish(tmp_path, told, rows=rows(24), family="phi-3-mini-4k")
    ended = [ends(worker) for worker in workers(tmp_path)]
    assert [code for code, _ in ended] == [0, 0], "\n=====\n".join(output for _, output in ended)
    rates = [entry["learningRate"] for entry in tiny.curve(tmp_path)]
    assert max(rates) == pytest.approx(5e-6)
    assert rates[1:] == sorted(rates[1:], reverse=True), "a cosine falls"
    metrics = tiny.last_word(tmp_path / "pod-0")["metrics"]
    assert metrics["heldout_loss_after"] < metrics["heldout_loss_before"]
    assert json.loads((tmp_path / RESULT / "adapter_config.json").read_text())["peft_type"] == "LORA"
    card = (tmp_path / RESULT / "README.md").read_text()
    assert '| `compute.strategy` | `"ZeRO2"` | spec |' in card
    for prompt in told.evaluation.prompts:
        assert f"**{prompt}**" in card
