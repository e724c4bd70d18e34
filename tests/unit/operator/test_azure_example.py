"""Azure ML's chat-completion sample as one job: planned on the catalogue that the chart ships, and rendered to pods."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.examples import example, shipped_catalogue

from skipjack.api.v1alpha1 import FineTuneJobSpec
from skipjack.api.v1alpha1.compute import Strategy
from skipjack.api.v1alpha1.learning import Scheduler
from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import ResolvedSpec, resolve_spec
from skipjack_operator.manifests import PodEnvironment, job_manifest

SITE = PodEnvironment(image="trainer:1", progress_url="http://operator:8080")
ULTRACHAT = "hf://datasets/HuggingFaceH4/ultrachat_200k"
ONE_NODE = example("azure-chat-completion")
TWO_NODES = ONE_NODE | {
    "compute": ONE_NODE["compute"] | {"nodes": 2},
    "hyperparameters": ONE_NODE["hyperparameters"] | {"globalBatchSize": 16},
}


def planned(own: dict[str, Any]) -> ResolvedSpec:
    return resolve_spec(FineTuneJobSpec.model_validate(own), "ultrachat", "team", "uid-1", shipped_catalogue())


def test_what_is_learnt_is_what_the_sample_says() -> None:
    told = planned(ONE_NODE)
    assert told.model.uri == "hf://microsoft/Phi-3-mini-4k-instruct"
    assert told.method.type is MethodType.LORA
    settings = told.hyperparameters
    assert (settings.epochs, settings.learning_rate, settings.scheduler) == (3, 5e-6, Scheduler.COSINE)
    assert told.compute.strategy is Strategy.ZERO2
    answers = told.evaluation
    assert (answers.temperature, answers.top_p, answers.max_new_tokens) == (0.6, 0.9, 200)
    splits = [(source.uri, source.split) for source in (*told.dataset.train, *told.dataset.validation)]
    assert splits == [(ULTRACHAT, "train_sft"), (ULTRACHAT, "test_sft")]


@pytest.mark.parametrize(("own", "nodes", "gpus"), [(ONE_NODE, 1, 8), (TWO_NODES, 2, 16)])
def test_each_gpu_has_a_process_and_one_example_in_a_step(own: dict[str, Any], nodes: int, gpus: int) -> None:
    told = planned(own)
    assert told.compute.nodes == nodes
    assert told.compute.nodes * told.compute.processes_per_node == gpus == told.hyperparameters.global_batch_size
    assert not told.dataset.packing
    assert told.compute.micro_batch_tokens == 8


@pytest.mark.parametrize(("own", "nodes"), [(ONE_NODE, 1), (TWO_NODES, 2)])
def test_its_pods_ask_for_whole_nodes_of_eight_gpus(own: dict[str, Any], nodes: int) -> None:
    told = planned(own)
    kind = shipped_catalogue().node_type(told.compute.node_type)[0].spec
    job = job_manifest(FineTuneJobSpec.model_validate(own), told, kind, 1, SITE, {})["spec"]
    assert (job["completions"], job["parallelism"]) == (nodes, nodes)
    pod = job["template"]["spec"]
    resources = pod["containers"][0]["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "8"
    assert pod["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
    assert ("topologySpreadConstraints" in pod) == (nodes > 1), "two pods on one node would wait for its GPUs for ever"
