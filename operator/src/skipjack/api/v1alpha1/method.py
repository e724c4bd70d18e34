"""How a model is changed: the method's type, the one block that holds its settings, and the precision of the base beneath it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from .common import APIModel, Text, Word
from .rules import Rule


class MethodType(StrEnum):
    FULL = "Full"
    LORA = "LoRA"
    RSLORA = "RsLoRA"
    LORA_PLUS = "LoRAPlus"
    PISSA = "PiSSA"
    OLORA = "OLoRA"
    DORA = "DoRA"
    QLORA = "QLoRA"
    LOFTQ = "LoftQ"
    ADALORA = "AdaLoRA"
    VERA = "VeRA"
    RANDLORA = "RandLoRA"
    LOHA = "LoHa"
    LOKR = "LoKr"
    SHIRA = "SHiRA"
    FOURIERFT = "FourierFT"
    OFT = "OFT"
    BOFT = "BOFT"
    IA3 = "IA3"
    PREFIX_TUNING = "PrefixTuning"
    PROMPT_TUNING = "PromptTuning"
    P_TUNING = "PTuning"


BLOCKS: dict[str, tuple[MethodType, ...]] = {
    "lora": (
        MethodType.LORA, MethodType.RSLORA, MethodType.LORA_PLUS, MethodType.PISSA, MethodType.OLORA, MethodType.DORA,
        MethodType.QLORA, MethodType.LOFTQ, MethodType.ADALORA, MethodType.VERA, MethodType.RANDLORA, MethodType.LOHA,
        MethodType.LOKR, MethodType.SHIRA,
    ),
    "orthogonal": (MethodType.OFT, MethodType.BOFT),
    "fourier": (MethodType.FOURIERFT,),
    "ia3": (MethodType.IA3,),
    "prompt": (MethodType.PREFIX_TUNING, MethodType.PROMPT_TUNING, MethodType.P_TUNING),
}  # fmt: skip
"""Block of a Method → the types whose settings it holds. Full has none."""


def block_of(kind: MethodType) -> str | None:
    """The block that holds the settings of `kind`."""
    return next((block for block, kinds in BLOCKS.items() if kind in kinds), None)


TargetModules = Annotated[list[Word], Field(min_length=1, max_length=64)]


class LoRA(APIModel):
    """Settings of every method with a rank. What of it a method has, docs/techniques.md tells."""

    rank: int | None = Field(None, ge=1, le=1024, description="Rank r of the update. Default: by method, 16 for LoRA.")
    alpha: float | None = Field(
        None, gt=0, le=65536, description="Scale: the update counts alpha/rank times. Default: by method, twice the rank for LoRA."
    )  # fmt: skip
    dropout: float | None = Field(None, ge=0, lt=1, description="Dropout on the adapter's input. Default: 0.")
    target_modules: TargetModules | None = Field(
        None,
        description="Names of the linear layers to adapt. Default: all of them but the output head; those of the attention in a "
        "diffusion model.",
    )
    dora: bool | None = Field(
        None, description="Learn magnitude and direction apart (DoRA). Default: true for DoRA, else false."
    )
    rank_stabilized: bool | None = Field(
        None, description="The update counts alpha/√rank times (rsLoRA). Default: true for RsLoRA, else false."
    )
    learning_rate_ratio: float | None = Field(
        None, ge=1, le=256, description="B learns so many times as fast as A (LoRA+). Default: 16 for LoRAPlus, else 1."
    )


class Orthogonal(APIModel):
    """Settings of OFT and BOFT."""

    block_size: int | None = Field(
        None, ge=2, le=1024, description="Width of an orthogonal block. Default: 32 for OFT, 4 for BOFT."
    )
    butterfly_factors: int | None = Field(
        None, ge=1, le=8, description="Sparse factors that a rotation is the product of, BOFT only. Default: 1."
    )
    dropout: float | None = Field(None, ge=0, lt=1, description="Share of blocks left as they are. Default: 0.")
    target_modules: TargetModules | None = Field(
        None, description="Names of the linear layers to adapt. Default: all of them but the output head."
    )


class Fourier(APIModel):
    """Settings of FourierFT."""

    frequencies: int | None = Field(
        None, ge=1, le=1_000_000, description="Learnt coefficients of each layer's spectrum. Default: 1000."
    )
    scaling: float | None = Field(None, gt=0, le=65536, description="Scale of the update. Default: 300.")
    target_modules: TargetModules | None = Field(
        None, description="Names of the linear layers to adapt. Default: all of them but the output head."
    )


class IA3(APIModel):
    """Settings of IA3."""

    target_modules: TargetModules | None = Field(
        None, description="Names of the layers to scale. Default: keys, values and the feed-forward's last layer."
    )


class Prompt(APIModel):
    """Settings of methods that learn virtual tokens before the text."""

    virtual_tokens: int | None = Field(None, ge=1, le=1024, description="How many are learnt. Default: 20.")
    init_text: Text | None = Field(
        None, description="Words that they begin as, PromptTuning only. Default: random words of the vocabulary."
    )
    projection: bool | None = Field(
        None, description="Learn the prefix through a small network, PrefixTuning only. Default: false."
    )
    hidden_size: int | None = Field(
        None, ge=1, le=65536, description="Width of that network, PrefixTuning and PTuning. Default: the model's."
    )


class QuantizationType(StrEnum):
    NF4 = "NF4"


class Quantization(APIModel):
    """In what the frozen base model is held. Adapters are never quantised."""

    type: QuantizationType = Field(description="NF4: 4-bit NormalFloat (QLoRA).")
    double_quant: bool | None = Field(None, description="Quantise the scales too. Default: true.")


def _fits(block: str, kinds: tuple[MethodType, ...]) -> Rule:
    """The types `kinds` have no other block than `block`."""
    others = [other for other in BLOCKS if other != block]
    listed = ", ".join(f"'{kind.value}'" for kind in kinds)
    named = ", ".join(kind.value for kind in kinds)
    return Rule(
        f"!(self.type in [{listed}]) || !({' || '.join(f'has(self.{other})' for other in others)})",
        lambda own: own.type not in kinds or all(getattr(own, other) is None for other in others),
        f"settings of {named} go in method.{block}: remove the other block, or change the type",
    )


class Method(APIModel):
    """How the model is changed."""

    rules: ClassVar = (
        *(_fits(block, kinds) for block, kinds in BLOCKS.items()),
        Rule(
            f"self.type != 'Full' || !({' || '.join(f'has(self.{block})' for block in (*BLOCKS, 'quantization'))})",
            lambda own: (
                own.type is not MethodType.FULL
                or all(getattr(own, block) is None for block in (*BLOCKS, "quantization"))
            ),
            "type Full trains every weight as it is and has no settings: remove the block, or change the type",
        ),
    )
    type: MethodType = Field(description="LoRA and its kin train a small adapter; Full trains every weight.")
    lora: LoRA | None = Field(None, description="Settings of every method with a rank.")
    orthogonal: Orthogonal | None = Field(None, description="Settings of OFT and BOFT.")
    fourier: Fourier | None = Field(None, description="Settings of FourierFT.")
    ia3: IA3 | None = Field(None, description="Settings of IA3.")
    prompt: Prompt | None = Field(None, description="Settings of PrefixTuning, PromptTuning and PTuning.")
    quantization: Quantization | None = Field(
        None, description="In what the frozen base is held. Default: NF4 for QLoRA and LoftQ, else as it is."
    )
