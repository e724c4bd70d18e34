"""The method: every type has its block and its defaults, each told with where it came from; what it hasn't is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic.alias_generators import to_camel, to_snake
from tests.builders import catalogue, spec

from skipjack.api.v1alpha1.method import BLOCKS, Method, MethodType, block_of
from skipjack.methods import METHODS, Base
from skipjack.resolve import ResolvedSpec, SpecRefused, resolve_spec

EVERY = list(MethodType)
WITH_A_BLOCK = [kind for kind in EVERY if block_of(kind)]


def resolved(kind: str, **own: Any) -> ResolvedSpec:
    return resolve_spec(spec(method={"type": kind} | own), "job", "team", "uid-1", catalogue())


def origins(job: ResolvedSpec) -> dict[str, str]:
    return {value.field: value.origin for value in job.told()}


@pytest.mark.parametrize("kind", EVERY)
def test_a_type_alone_is_a_whole_method_and_says_so_of_each_value(kind: MethodType) -> None:
    job = resolved(kind.value)
    assert job.hyperparameters.learning_rate == METHODS[kind].learning_rate
    assert origins(job)["hyperparameters.learningRate"] == f"default of {kind.value}"
    filled = [block for block in BLOCKS if getattr(job.method, block) is not None]
    assert filled == ([block_of(kind)] if block_of(kind) else [])
    told = {field.removeprefix("method.") for field in origins(job) if field.startswith("method.")}
    own = {f"{block_of(kind)}.{to_camel(name)}" for name in (*METHODS[kind].settings, *METHODS[kind].implied)}
    assert told - {"type", "quantization.type", "quantization.doubleQuant"} == own


@pytest.mark.parametrize("kind", WITH_A_BLOCK)
def test_every_default_is_one_that_a_person_could_have_written(kind: MethodType) -> None:
    block = block_of(kind)
    assert block is not None
    settings = getattr(resolved(kind.value).method, block).model_dump(exclude_none=True, by_alias=False)
    Method.model_validate({"type": kind.value, block: {to_camel(name): value for name, value in settings.items()}})


@pytest.mark.parametrize("kind", EVERY)
def test_every_method_tells_what_it_is_and_where_it_comes_from(kind: MethodType) -> None:
    method = METHODS[kind]
    assert method.about.endswith(".")
    assert method.take_it.endswith(".")
    assert ("arXiv:" in method.paper) == (kind is not MethodType.FULL)


@pytest.mark.parametrize(
    ("kind", "own", "alpha", "origin"),
    [
        ("LoRA", {"rank": 8}, 16.0, "twice the rank"),
        ("PiSSA", {"rank": 8}, 8.0, "the rank"),
        ("RandLoRA", {}, 640.0, "20 times the rank"),
        ("RsLoRA", {"rank": 64}, 16.0, "default of RsLoRA"),
        ("QLoRA", {"rank": 64, "rankStabilized": True}, 16.0, "default of RsLoRA"),
        ("LoRA", {"rank": 8, "alpha": 5}, 5.0, "spec"),
    ],
)
def test_alpha_follows_the_rank_unless_it_is_given(kind: str, own: dict[str, Any], alpha: float, origin: str) -> None:
    job = resolved(kind, lora=own)
    assert job.method.lora is not None
    assert job.method.lora.alpha == alpha
    assert origins(job)["method.lora.alpha"] == origin


@pytest.mark.parametrize(("kind", "field"), [("DoRA", "dora"), ("RsLoRA", "rankStabilized")])
def test_what_a_type_is_may_be_said_again_but_not_denied(kind: str, field: str) -> None:
    for job in (resolved(kind), resolved(kind, lora={field: True})):
        assert job.method.lora is not None
        assert job.method.lora.model_dump()[to_snake(field)] is True
        assert origins(job)[f"method.lora.{field}"] == f"what {kind} is"
    with pytest.raises(
        SpecRefused, match=rf"spec\.method\.lora\.{field}: type {kind} means true: remove it, or choose LoRA"
    ) as no:
        resolved(kind, lora={field: False})
    assert no.value.reason == "SettingContradicted"


@pytest.mark.parametrize(
    ("kind", "own", "said"),
    [
        ("VeRA", {"lora": {"alpha": 4}}, r"lora\.alpha: VeRA has no such setting, it has rank, dropout, targetModules"),
        ("SHiRA", {"lora": {"dropout": 0.1}}, r"lora\.dropout: SHiRA has no such setting"),
        ("PiSSA", {"lora": {"dora": True}}, r"lora\.dora: PiSSA has no such setting"),
        ("AdaLoRA", {"lora": {"learningRateRatio": 4}}, r"lora\.learningRateRatio: AdaLoRA has no such setting"),
        ("OFT", {"orthogonal": {"butterflyFactors": 2}}, r"orthogonal\.butterflyFactors: OFT has no such setting"),
        ("PTuning", {"prompt": {"initText": "be kind"}}, r"prompt\.initText: PTuning has no such setting"),
        ("PromptTuning", {"prompt": {"projection": False}}, r"prompt\.projection: PromptTuning has no such setting"),
    ],
)
def test_a_setting_that_the_method_has_not_is_refused_with_those_it_has(
    kind: str, own: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecRefused, match=rf"spec\.method\.{said}") as no:
        resolved(kind, **own)
    assert no.value.reason == "SettingUnknown"


def test_qlora_is_in_nf4_with_double_quantisation_unless_told_otherwise() -> None:
    job = resolved("QLoRA")
    assert job.method.quantization is not None
    assert (job.method.quantization.type, job.method.quantization.double_quant) == ("NF4", True)
    assert origins(job)["method.quantization.type"] == "default of QLoRA"
    job = resolved("QLoRA", quantization={"type": "NF4", "doubleQuant": False})
    assert job.method.quantization is not None
    assert job.method.quantization.double_quant is False
    assert origins(job)["method.quantization.doubleQuant"] == "spec"


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind is not MethodType.FULL])
def test_a_quantised_base_is_had_by_asking_or_refused_with_who_can(kind: MethodType) -> None:
    asked = {"quantization": {"type": "NF4"}}
    if METHODS[kind].base is Base.AS_IT_IS:
        with pytest.raises(SpecRefused, match=rf"quantization: {kind.value} can't learn .* LoRA, .*QLoRA") as no:
            resolved(kind.value, **asked)
        assert no.value.reason == "QuantizationUnsupported"
    else:
        assert resolved(kind.value, **asked).method.quantization is not None
    assert (resolved(kind.value).method.quantization is not None) == (METHODS[kind].base is Base.QUANTIZED)


@pytest.mark.parametrize("asked", [{}, {"packing": True}])
@pytest.mark.parametrize("kind", ["PrefixTuning", "PromptTuning", "PTuning"])
def test_virtual_tokens_turn_packing_off_and_say_so(kind: str, asked: dict[str, bool]) -> None:
    data = {"train": [{"uri": "configmap://data/train.jsonl"}]} | asked
    job = resolve_spec(spec(method={"type": kind}, dataset=data), "job", "team", "uid-1", catalogue())
    assert job.dataset.packing is False
    assert origins(job)["dataset.packing"].startswith("off: virtual tokens")
    assert resolve_spec(spec(dataset=data), "job", "team", "uid-1", catalogue()).dataset.packing is True
