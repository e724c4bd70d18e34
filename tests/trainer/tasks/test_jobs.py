"""Jobs that translate and that answer questions, from spec to stored result; and what they have no use for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.trainer import tiny
from tests.trainer.data.test_windows import asked, pairing_tokenizer
from tests.trainer.tasks import seq2seq
from tests.trainer.trainees import run_here
from transformers import AutoModel

from skipjack.protocol import Result
from skipjack_trainer.data.writers import WRITERS
from skipjack_trainer.errors import ConfigurationInvalid, DataInvalid
from skipjack_trainer.tasks import RECIPES

QUESTIONS = [
    asked("hello world " * (n % 9) + f"the light {n} is red", f"light {n}" if n % 4 else None, 12 * (n % 9) + 4)
    for n in range(12)
]
PROMPTED = [{"prompt": row["source"], "completion": row["target"]} for row in seq2seq.pairs(12)]
MODELS: dict[str, Any] = {
    "llama": lambda: tiny.model("llama"),
    "t5": lambda: seq2seq.model("t5"),
    "bert": lambda: tiny.model("bert", head=AutoModel),
}


def job(root: Path, family: str, rows: list[Any], prompts: bool = True, **changes: Any) -> Result:
    evaluation = {"maxNewTokens": 4, "prompts": ["light 3"] if prompts else []}
    hyperparameters = {"maxSteps": 4, "globalBatchSize": 4, "learningRate": 0.01} | changes.pop("hyperparameters", {})
    dataset = {
        "train": [{"uri": "configmap://data/train.jsonl"}],
        "validation": [{"uri": "configmap://data/held.jsonl"}],
    } | changes.pop("dataset", {})
    told = tiny.resolved(evaluation=evaluation, hyperparameters=hyperparameters, dataset=dataset, **changes)
    seq2seq.furnish(root, told, MODELS[family](), rows, rows[:4], pairing_tokenizer() if family == "bert" else None)
    return run_here(root)


@pytest.mark.parametrize(
    ("family", "rows", "measures"),
    [
        ("llama", seq2seq.pairs(12), {"loss", "bleu", "chrf"}),
        ("t5", seq2seq.pairs(12), {"loss", "bleu", "chrf"}),
        ("llama", QUESTIONS, {"loss", "f1", "exact_match"}),
        ("t5", QUESTIONS, {"loss", "f1", "exact_match"}),
        ("bert", QUESTIONS, {"loss", "f1", "exact_match"}),
        ("t5", PROMPTED, {"loss"}),
    ],
)
@pytest.mark.parametrize("method", ["Full", "LoRA"])
def test_a_job_is_learnt_judged_and_stored(
    method: str, family: str, rows: list[Any], measures: set[str], tmp_path: Path
) -> None:
    windows = {"dataset": {"stride": 8}, "hyperparameters": {"maxLength": 48}} if family == "bert" else {}
    result = job(tmp_path, family, rows, prompts=family != "bert", method={"type": method}, **windows)
    assert {name for name in result.metrics if name.startswith("heldout_")} == {
        f"heldout_{measure}_{when}" for measure in measures for when in ("before", "after")
    }
    assert result.metrics["heldout_loss_after"] < result.metrics["heldout_loss_before"]
    assert any((tmp_path / "mnt/claims/models/out").glob("*.safetensors"))


def test_what_a_head_learnt_is_stored_with_an_adapter(tmp_path: Path) -> None:
    from peft import AutoPeftModelForQuestionAnswering

    result = job(tmp_path, "bert", QUESTIONS, prompts=False)
    config = (tmp_path / "mnt/claims/models/out/adapter_config.json").read_text()
    assert "qa_outputs" in config
    assert result.metrics["heldout_loss_after"] < result.metrics["heldout_loss_before"]
    stored = tmp_path / "mnt/claims/models/out"
    text = config.replace("pvc://models/base", str(tmp_path / "mnt/claims/models/base"))
    (stored / "adapter_config.json").write_text(text)
    tuned = AutoPeftModelForQuestionAnswering.from_pretrained(str(stored))
    assert tuned.base_model.model.qa_outputs.weight.abs().sum() > 0


def test_what_can_be_written_can_be_learnt() -> None:
    assert {task: set(shapes) for task, shapes in WRITERS.items()} == {
        task: set(known) for task, known in RECIPES.items()
    }


@pytest.mark.parametrize(
    ("family", "rows", "changes", "problem"),
    [
        ("bert", seq2seq.pairs(4), {}, "task Translation needs a causal language model or a sequence-to-sequence model, and the model is an encoder"),
        ("t5", tiny.chats(4), {}, "task Chat needs a causal language model, and the model is a sequence-to-sequence model"),
        ("bert", QUESTIONS, {"prompts": True}, r"evaluation\.prompts: such a model learns QuestionAnswering and answers no prompts"),
        ("bert", QUESTIONS, {"dataset": {"instruction": "say: "}}, r"dataset\.instruction: .*here an encoder learns QuestionAnswering: remove it"),
        ("llama", tiny.chats(4), {"dataset": {"instruction": "say: "}}, r"dataset\.instruction: .*a causal language model learns Chat"),
        ("llama", QUESTIONS, {"dataset": {"stride": 8}}, r"dataset\.stride: .*here a causal language model learns QuestionAnswering"),
        ("bert", QUESTIONS, {"method": {"type": "PromptTuning"}}, "virtual tokens"),
    ],
)  # fmt: skip
def test_what_such_a_job_has_no_use_for_is_refused(
    family: str, rows: list[Any], changes: dict[str, Any], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationInvalid, match=problem):
        job(tmp_path, family, rows, **{"prompts": False} | changes)


def test_broken_rows_are_told_by_file_and_line_and_nothing_is_trained(tmp_path: Path) -> None:
    rows = [*QUESTIONS[:3], QUESTIONS[1] | {"context": "another page"}, QUESTIONS[0] | {"question": ""}]
    with pytest.raises(DataInvalid) as caught:
        job(tmp_path, "bert", [*rows, *QUESTIONS], prompts=False)
    first, *told = str(caught.value).splitlines()
    assert first == "3 bad rows, nothing was trained."
    # The first of them stands among the held-out rows too.
    assert [line.partition(": ")[0] for line in told] == ["train.jsonl:4", "train.jsonl:5", "held.jsonl:4"]
    assert not (tmp_path / "mnt/claims/models/out").exists()
