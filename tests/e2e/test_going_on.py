"""From one job to the next on the real cluster: supervised, then by preferences, then for longer; and a sequence-to-sequence model."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from tests.e2e.scenarios import EXAMPLES, told
from tests.support.kubectl import Kubectl, condition

from .jobs import bring, ended, job, rows

pytestmark = pytest.mark.cluster

PAIRS = [{"prompt": f"{n} and {n} are", "chosen": f" {n + n}", "rejected": " many"} for n in range(24)]
CONSTANT: dict[str, Any] = {"globalBatchSize": 4, "learningRate": 0.002, "scheduler": "Constant", "warmupRatio": 0}


def then(name: str, before: str, **changes: Any) -> dict[str, Any]:
    """A job that starts from another, and leaves out what that one tells."""
    made = job(name, startFrom={"job": before}, output={"uri": f"pvc://models/{name}"}, **changes)
    del made["spec"]["model"]
    return made


def test_preferences_go_on_from_what_was_tuned_and_are_compared_to_it(kubectl: Kubectl) -> None:
    bring(kubectl)
    rows(kubectl, "pairs", [json.dumps(row) for row in PAIRS])
    kubectl.apply(job("sft"))
    # Applied before the other has ended: it waits.
    dataset = {"train": [{"uri": "configmap://pairs/train.jsonl"}], "validationSplit": "8"}
    kubectl.apply(then("dpo", "sft", task="Preference", dataset=dataset))
    told(ended(kubectl, "sft"))
    metrics = told(ended(kubectl, "dpo"))
    assert metrics["heldout_loss_before"] == pytest.approx(math.log(2), abs=1e-3)
    assert metrics["heldout_loss_after"] < metrics["heldout_loss_before"]
    assert "starting from job sft" in kubectl("logs", "job/dpo-1", "--tail=-1")


def test_all_of_a_jobs_state_is_gone_on_with_for_longer(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(job("short", hyperparameters=CONSTANT | {"maxSteps": 8}))
    before = told(ended(kubectl, "short"))
    longer = then("longer", "short", hyperparameters={"maxSteps": 12})
    longer["spec"]["startFrom"]["state"] = "Full"
    kubectl.apply(longer)
    seen = ended(kubectl, "longer")
    assert told(seen)["heldout_loss_before"] == pytest.approx(before["heldout_loss_after"], rel=1e-3)
    assert seen["status"]["progress"]["step"] == 12
    assert "step 9/12" in (said := kubectl("logs", "job/longer-1", "--tail=-1"))
    assert "step 8/12" not in said


def test_a_job_that_is_not_there_is_named_and_waited_for(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl.apply(then("later", "nobody"))
    seen = kubectl.until("ftj", "later", lambda seen: condition(seen, "Accepted").get("status") == "False", 30)
    assert "nobody" in condition(seen, "Accepted")["message"]
    assert kubectl.list("jobs") == []


def test_a_sequence_to_sequence_model_learns_to_translate(kubectl: Kubectl) -> None:
    bring(kubectl)
    kubectl("create", "configmap", "tongue", f"--from-file={EXAMPLES / 'tongue'}")
    sources = [{"uri": f"configmap://tongue/{name}.jsonl"} for name in ("train", "validation")]
    settings = {"epochs": 30, "globalBatchSize": 16, "learningRate": 0.005}
    kubectl.apply(
        job(
            "t5",
            model="hf://skipjack-test/tiny-t5",
            dataset={"train": sources[:1], "validation": sources[1:]},
            method={"type": "Full"},
            hyperparameters=settings,
            evaluation={"maxNewTokens": 20},
        )
    )
    metrics = told(ended(kubectl, "t5"))
    assert metrics["heldout_bleu_before"] < 5
    assert metrics["heldout_bleu_after"] > 50
