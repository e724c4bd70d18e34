"""Resolving before the data is seen: every value has an origin, the person's own word wins, and a refusal says what to do."""

from __future__ import annotations

import pytest
from tests.builders import base_model, catalogue, gpu, node_type, spec

from skipjack.api.v1alpha1.compute import Precision
from skipjack.api.v1alpha1.dataset import Task
from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import Catalogue, DataFacts, ResolvedSpec, SpecRefused, resolve_data, resolve_spec


def resolved(catalogue_: Catalogue | None = None, **changes: object) -> ResolvedSpec:
    return resolve_spec(spec(**changes), "job", "team", "uid-1", catalogue_ or catalogue())


def facts(**changes: object) -> DataFacts:
    known: dict[str, object] = {
        "task": Task.CHAT,
        "train_rows": 300,
        "validation_rows": 30,
        "longest_tokens": 90,
        "total_tokens": 20_000,
        "context_length": 2048,
        "model_can_pack": True,
    }
    return DataFacts(**(known | changes))  # type: ignore[arg-type]


def origin(told: ResolvedSpec, field: str) -> str:
    return next(value.origin for value in told.told() if value.field == field)


def test_three_lines_of_spec_are_a_whole_job() -> None:
    job = resolved()
    assert job.method.type is MethodType.LORA
    assert job.method.lora is not None
    assert (job.method.lora.rank, job.method.lora.alpha) == (16, 32.0)
    assert origin(job, "method.lora.alpha") == "twice the rank"
    assert origin(job, "hyperparameters.learningRate") == "default of LoRA"


def test_the_persons_own_value_wins_and_is_told_as_theirs() -> None:
    job = resolved(method={"type": "LoRA", "lora": {"rank": 8, "alpha": 8}}, hyperparameters={"learningRate": 1e-3})
    assert job.method.lora is not None
    assert (job.method.lora.rank, job.method.lora.alpha, job.hyperparameters.learning_rate) == (8, 8.0, 1e-3)
    assert origin(job, "method.lora.rank") == origin(job, "hyperparameters.learningRate") == "spec"


def test_a_value_that_is_given_as_zero_is_not_taken_for_left_out() -> None:
    job = resolved(
        hyperparameters={"warmupRatio": 0.0, "seed": 0}, dataset={"train": [{"uri": "pvc://a/b.csv"}], "packing": False}
    )
    assert job.hyperparameters.warmup_ratio == 0.0
    assert job.hyperparameters.seed == 0
    assert job.dataset.packing is False


def test_full_has_its_own_learning_rate_and_no_lora_block() -> None:
    job = resolved(method={"type": "Full"})
    assert job.hyperparameters.learning_rate == 2e-5
    assert job.method.lora is None


def test_a_base_models_name_becomes_its_place_and_context() -> None:
    job = resolved(catalogue(base_model()), model="phi-3-mini")
    assert (job.model.uri, job.model.context_length) == ("hf://org/phi@main", 4096)
    assert origin(job, "model.uri") == "BaseModel phi-3-mini"


def test_an_unknown_base_model_is_refused_with_the_nearest() -> None:
    with pytest.raises(SpecRefused, match=r"spec\.model.*'phi-3-mine'.*Did you mean phi-3-mini\?") as refusal:
        resolved(catalogue(base_model()), model="phi-3-mine")
    assert refusal.value.reason == "BaseModelUnknown"


def test_an_unknown_node_type_is_refused_with_the_nearest() -> None:
    with pytest.raises(SpecRefused, match=r"spec\.compute\.nodeType.*'h100'.*Did you mean h100x8\?"):
        resolved(catalogue(gpu()), compute={"nodeType": "h100"})


def test_a_name_like_nothing_known_is_refused_with_what_there_is() -> None:
    with pytest.raises(SpecRefused, match=r"There are: h100x8\."):
        resolved(catalogue(gpu()), compute={"nodeType": "zzz"})


def test_a_node_type_becomes_resources_of_the_pods() -> None:
    job = resolved(catalogue(gpu()), compute={"nodeType": "h100x8", "nodes": 2, "acceleratorsPerNode": 4})
    assert (job.compute.accelerator_resource, job.compute.accelerators_per_node) == ("nvidia.com/gpu", 4)
    assert (job.compute.nodes, job.compute.processes_per_node) == (2, 4)


def test_the_only_node_type_serves_when_none_is_the_default() -> None:
    assert resolved(catalogue(gpu())).compute.node_type == "h100x8"


def test_two_default_node_types_are_refused_by_name() -> None:
    with pytest.raises(SpecRefused, match=r"a, b.*name one") as refusal:
        resolved(catalogue(node_type("a", default=True), node_type("b", default=True)))
    assert refusal.value.reason == "NodeTypeAmbiguous"


def test_no_default_among_several_node_types_is_refused() -> None:
    with pytest.raises(SpecRefused, match="no NodeType is marked as default"):
        resolved(catalogue(node_type("a"), node_type("b")))


def test_an_empty_catalogue_says_whom_to_ask() -> None:
    with pytest.raises(SpecRefused, match="ask whoever runs this cluster"):
        resolved(Catalogue((), ()))


@pytest.mark.parametrize(("kind", "asked"), [(gpu(), 9), (node_type(), 1)])
def test_more_accelerators_than_a_node_has_are_refused(kind: object, asked: int) -> None:
    with pytest.raises(SpecRefused, match=r"acceleratorsPerNode.*asked for.*has (8|0)"):
        resolved(catalogue(kind), compute={"acceleratorsPerNode": asked})  # type: ignore[arg-type]


def test_precision_is_what_the_hardware_has() -> None:
    assert resolved(catalogue(node_type(precisions=["FP32"]))).compute.precision is Precision.FP32
    with pytest.raises(SpecRefused, match=r"has no BF16, it has FP32"):
        resolved(catalogue(node_type(precisions=["FP32"])), compute={"precision": "BF16"})


@pytest.mark.parametrize(
    ("has", "best"), [(["FP32", "BF16", "FP16"], "BF16"), (["FP32", "FP16"], "FP16"), (["FP32"], "FP32")]
)
def test_a_node_type_without_bf16_gets_fp16_if_it_has_that(has: list[str], best: str) -> None:
    assert resolved(catalogue(node_type(precisions=has))).compute.precision.value == best


def test_nothing_is_shared_out_nor_computed_again_unless_asked() -> None:
    job = resolved()
    assert (job.compute.strategy, job.compute.offload.optimizer, job.compute.offload.parameters) == ("DDP", None, None)
    assert job.compute.gradient_checkpointing is False
    assert origin(job, "compute.strategy") == origin(job, "compute.offload.optimizer") == "default"
    job = resolved(compute={"strategy": "ZeRO3", "offload": {"optimizer": "NVMe", "parameters": "CPU"}})
    assert (job.compute.offload.optimizer, job.compute.offload.parameters) == ("NVMe", "CPU")
    assert origin(job, "compute.strategy") == origin(job, "compute.offload.parameters") == "spec"


def test_a_strategy_that_a_method_cannot_be_trained_under_is_refused_with_those_it_can() -> None:
    with pytest.raises(SpecRefused, match=r"compute\.strategy: AdaLoRA can't.*ZeRO3: .*choose DDP") as no:
        resolved(method={"type": "AdaLoRA"}, compute={"strategy": "ZeRO3"})
    assert no.value.reason == "StrategyUnsupported"
    assert resolved(method={"type": "LoRA"}, compute={"strategy": "ZeRO3"}).compute.strategy == "ZeRO3"


def test_activations_are_not_computed_again_by_a_method_that_cannot() -> None:
    with pytest.raises(SpecRefused, match=r"compute\.gradientCheckpointing: PrefixTuning"):
        resolved(compute={"gradientCheckpointing": True}, method={"type": "PrefixTuning"})


def test_the_data_settles_what_was_left_open() -> None:
    job = resolve_data(resolved(), facts())
    assert job.task is Task.CHAT
    assert (job.hyperparameters.max_length, job.hyperparameters.global_batch_size) == (90, 16)
    assert job.hyperparameters.max_steps == 57
    assert job.checkpoint.every_steps == 6
    assert job.compute.micro_batch_tokens == 1024


def test_small_data_gets_small_batches_and_enough_steps() -> None:
    job = resolve_data(resolved(), facts(train_rows=20))
    assert job.hyperparameters.global_batch_size == 2
    assert job.hyperparameters.max_steps == 30


def test_one_row_is_enough() -> None:
    job = resolve_data(resolved(hyperparameters={"epochs": 0.1}), facts(train_rows=1))
    assert (job.hyperparameters.global_batch_size, job.hyperparameters.max_steps) == (1, 1)


def test_the_models_context_bounds_the_length() -> None:
    job = resolve_data(resolved(), facts(longest_tokens=9000))
    assert job.hyperparameters.max_length == 2048
    assert "the model's context" in origin(job, "hyperparameters.maxLength")


def test_length_has_a_bound_where_the_model_names_none() -> None:
    assert resolve_data(resolved(), facts(longest_tokens=9000, context_length=None)).hyperparameters.max_length == 4096


def test_what_the_person_fixed_is_not_settled_by_the_data() -> None:
    own = resolved(
        task="Completion",
        hyperparameters={"maxSteps": 7, "globalBatchSize": 3, "maxLength": 50},
        checkpoint={"everySteps": 2},
        compute={"microBatchTokens": 64},
    )
    job = resolve_data(own, facts())
    assert job.task is Task.COMPLETION
    assert (job.hyperparameters.max_steps, job.hyperparameters.global_batch_size, job.hyperparameters.max_length) == (
        7,
        3,
        50,
    )
    assert (job.checkpoint.every_steps, job.compute.micro_batch_tokens) == (2, 64)
    assert job.hyperparameters.epochs is None


def test_packing_is_off_and_told_so_where_the_model_cannot_keep_rows_apart() -> None:
    job = resolve_data(resolved(), facts(model_can_pack=False))
    assert job.dataset.packing is False
    assert "can't keep packed rows apart" in origin(job, "dataset.packing")


@pytest.mark.parametrize(("window", "stride"), [(None, 128), (384, 128), (96, 32), (4096, 128)])
def test_neighbouring_windows_share_128_tokens_or_a_third_of_a_small_one(window: int | None, stride: int) -> None:
    job = resolved(hyperparameters={"maxLength": window} if window else {})
    assert job.dataset.stride == stride
    assert origin(job, "dataset.stride") == ("a third of maxLength" if stride == 32 else "default")


def test_a_stride_that_leaves_a_window_nothing_of_its_own_is_refused() -> None:
    dataset = {"train": [{"uri": "configmap://data/train.jsonl"}], "stride": 64}
    with pytest.raises(
        SpecRefused, match=r"spec\.dataset\.stride: windows of 64 tokens .* can't share 64: set it to 21 or less"
    ):
        resolved(dataset=dataset, hyperparameters={"maxLength": 64})
    assert resolved(dataset=dataset, hyperparameters={"maxLength": 65}).dataset.stride == 64


def test_a_later_attempt_is_pinned_to_what_an_earlier_one_told() -> None:
    first = resolve_data(resolved(), facts())
    upgraded = resolved(hyperparameters={"learningRate": 9e-4})
    assert upgraded.pinned(first.told()) == first


def test_pinning_ignores_fields_that_are_no_longer_known() -> None:
    job = resolved()
    strange = job.told()[0].model_copy(update={"field": "gone.field"})
    assert job.pinned([strange]) == job


def test_a_measure_that_the_task_has_not_is_refused_with_those_that_it_has() -> None:
    with pytest.raises(SpecRefused, match=r"evaluation\.metric: Chat isn't judged by BLEU, it is by Loss") as no:
        resolved(task="Chat", evaluation={"metric": "BLEU"})
    assert no.value.reason == "MetricUnsupported"


@pytest.mark.parametrize("own", [{"keepBest": True}, {"earlyStopping": {"patience": 2}}])
def test_what_judges_by_held_out_rows_is_refused_without_any(own: dict[str, object]) -> None:
    with pytest.raises(SpecRefused, match=f"evaluation.{next(iter(own))} judges by held-out rows, and there are none"):
        resolved(evaluation=own)
    train = [{"uri": "configmap://data/train.jsonl"}]
    resolved(evaluation=own, dataset={"train": train, "validationSplit": "5%"})
